//! Provisioners and post-processors.

use serde_json::{Value as Json, json};

use super::{FixError, Object, Taken, kind, objects, rename};

type Done = Result<(), FixError>;

fn of_kind<'a>(template: &'a mut Json, key: &str, wanted: &str) -> Vec<&'a mut Object> {
    let mut found = objects(template, key);
    found.retain(|object| kind(object) == wanted);
    found
}

pub fn vagrant(template: &mut Json) -> Done {
    for post in of_kind(template, "post-processors", "vagrant") {
        let platforms = ["aws", "digitalocean", "virtualbox", "vmware"];
        let moved: Object =
            platforms.into_iter().filter_map(|name| post.remove(name).map(|value| (name.to_owned(), value))).collect();
        if !moved.is_empty() {
            post.insert("override".into(), moved.into());
        }
    }
    Ok(())
}

pub fn manifest(template: &mut Json) -> Done {
    for post in of_kind(template, "post-processors", "manifest") {
        rename(post, "filename", "output", Taken::Replace);
    }
    Ok(())
}

pub fn docker_email(template: &mut Json) -> Done {
    for builder in of_kind(template, "builders", "docker") {
        builder.remove("login_email");
    }
    for post in objects(template, "post-processors") {
        post.remove("login_email");
    }
    Ok(())
}

/// Both old forms, a text with commas and a list, and what `tags` has already; each tag once.
pub fn docker_tags(template: &mut Json) -> Done {
    for post in of_kind(template, "post-processors", "docker-tag") {
        let mut tags: Vec<String> = Vec::new();
        for value in [post.remove("tag"), post.remove("tags")].into_iter().flatten() {
            let found: Vec<String> = match value {
                Json::String(text) => text.split(',').map(|tag| tag.trim().to_owned()).collect(),
                Json::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            };
            for tag in found {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
        }
        post.insert("tags".into(), json!(tags));
    }
    Ok(())
}

pub fn powershell(template: &mut Json) -> Done {
    for step in of_kind(template, "provisioners", "powershell") {
        for name in ["elevated_user", "elevated_password"] {
            if let Some(Json::String(text)) = step.get_mut(name) {
                *text = without_escapes(text);
            }
        }
        let Some(Json::Array(variables)) = step.get_mut("environment_vars") else { continue };
        if !variables.iter().all(Json::is_string) {
            continue;
        }
        for variable in variables {
            if let Json::String(text) = variable {
                *text = without_escapes(text);
            }
        }
    }
    Ok(())
}

/// A backtick goes before a dollar, a quote or another backtick.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.next_if(|next| c == '`' && "$\"`'".contains(*next)) {
            Some(escaped) => out.push(escaped),
            None => out.push(c),
        }
    }
    out
}

pub fn galaxy_command(template: &mut Json) -> Done {
    for step in of_kind(template, "provisioners", "ansible-local") {
        if step.get("galaxycommand").is_some_and(Json::is_string) {
            rename(step, "galaxycommand", "galaxy_command", Taken::Keep);
        }
    }
    Ok(())
}
