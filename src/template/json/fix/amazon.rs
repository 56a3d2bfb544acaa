//! Amazon's builders.

use serde_json::{Value as Json, json};

use super::{FixError, Object, Taken, kind, objects, rename};

type Done = Result<(), FixError>;

fn amazon(template: &mut Json) -> Vec<&mut Object> {
    let mut builders = objects(template, "builders");
    builders.retain(|builder| kind(builder).starts_with("amazon-"));
    builders
}

/// Not only Amazon's: the name of the option tells.
pub fn create_time(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        let Some(Json::String(name)) = builder.get_mut("ami_name") else { continue };
        for old in ["{{.CreateTime}}", "{{ .CreateTime }}", "{{.CreateTime }}", "{{ .CreateTime}}"] {
            *name = name.replace(old, "{{timestamp}}");
        }
    }
    Ok(())
}

pub fn shutdown_behavior(template: &mut Json) -> Done {
    for builder in amazon(template) {
        rename(builder, "shutdown_behaviour", "shutdown_behavior", Taken::Replace);
    }
    Ok(())
}

pub fn enhanced_networking(template: &mut Json) -> Done {
    for builder in amazon(template) {
        if builder.get("enhanced_networking").is_some_and(Json::is_boolean) {
            rename(builder, "enhanced_networking", "ena_support", Taken::Replace);
        }
    }
    Ok(())
}

pub fn private_ip(template: &mut Json) -> Done {
    for builder in amazon(template) {
        if builder.contains_key("ssh_interface") {
            continue;
        }
        let private = match builder.get("ssh_private_ip") {
            Some(Json::Bool(private)) => *private,
            Some(Json::String(text)) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                _ => return Err(FixError::NotABool("ssh_private_ip", text.clone())),
            },
            _ => continue,
        };
        builder.remove("ssh_private_ip");
        builder.insert("ssh_interface".into(), if private { "private_ip" } else { "public_ip" }.into());
    }
    Ok(())
}

pub fn temporary_cidrs(template: &mut Json) -> Done {
    const OLD: &str = "temporary_security_group_source_cidr";
    for builder in amazon(template) {
        if builder.get(OLD).is_some_and(Json::is_string) {
            let cidr = builder.remove(OLD);
            builder.insert("temporary_security_group_source_cidrs".into(), json!([cidr]));
        }
    }
    Ok(())
}

pub fn spot_product(template: &mut Json) -> Done {
    for builder in amazon(template) {
        if kind(builder) != "amazon-chroot" {
            builder.remove("spot_price_auto_product");
        }
    }
    Ok(())
}
