//! All other builders.

use serde_json::{Value as Json, json};

use super::{FixError, Object, Taken, kind, objects, rename};

type Done = Result<(), FixError>;

fn builders<'a>(template: &'a mut Json, kinds: &[&str]) -> Vec<&'a mut Object> {
    let mut builders = objects(template, "builders");
    builders.retain(|builder| kinds.contains(&kind(builder)));
    builders
}

fn rename_kind(template: &mut Json, from: &str, to: &str) {
    for builder in builders(template, &[from]) {
        builder.insert("type".into(), to.into());
    }
}

/// `iso_checksum` and its type are joined by a later fixer.
pub fn iso_md5(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        if builder.get("iso_md5").is_some_and(Json::is_string) {
            rename(builder, "iso_md5", "iso_checksum", Taken::Replace);
            builder.insert("iso_checksum_type".into(), "md5".into());
        }
    }
    Ok(())
}

pub fn iso_checksum(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        let text = |value: Option<Json>| match value {
            Some(Json::String(text)) => text,
            _ => String::new(),
        };
        let url = text(builder.remove("iso_checksum_url"));
        let kind = text(builder.remove("iso_checksum_type"));
        if !url.is_empty() {
            builder.insert("iso_checksum".into(), format!("file:{url}").into());
        } else if let Some(Json::String(sum)) = builder.get_mut("iso_checksum")
            && !sum.is_empty()
            && !kind.is_empty()
        {
            *sum = format!("{kind}:{sum}");
        }
    }
    Ok(())
}

pub fn guest_additions(template: &mut Json) -> Done {
    for builder in builders(template, &["virtualbox"]) {
        if builder.get("guest_additions_attach") == Some(&json!(true)) {
            builder.remove("guest_additions_attach");
            builder.insert("guest_additions_mode".into(), "attach".into());
        }
    }
    Ok(())
}

/// Provisioners override by the builder's name, which is its type unless it has another one.
pub fn virtualbox(template: &mut Json) -> Done {
    rename_kind(template, "virtualbox", "virtualbox-iso");
    for step in objects(template, "provisioners") {
        if let Some(Json::Object(overrides)) = step.get_mut("override") {
            rename(overrides, "virtualbox", "virtualbox-iso", Taken::Replace);
        }
    }
    Ok(())
}

pub fn vmware(template: &mut Json) -> Done {
    rename_kind(template, "vmware", "vmware-iso");
    Ok(())
}

pub fn proxmox(template: &mut Json) -> Done {
    rename_kind(template, "proxmox", "proxmox-iso");
    Ok(())
}

const PARALLELS: [&str; 2] = ["parallels-iso", "parallels-pvm"];

pub fn parallels_headless(template: &mut Json) -> Done {
    for builder in builders(template, &PARALLELS) {
        builder.remove("headless");
    }
    Ok(())
}

pub fn parallels(template: &mut Json) -> Done {
    for builder in builders(template, &PARALLELS) {
        builder.remove("parallels_tools_host_path");
        rename(builder, "guest_os_distribution", "guest_os_type", Taken::Replace);
    }
    Ok(())
}

pub fn ssh_key_path(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        if builder.get("ssh_key_path").is_some_and(Json::is_string) {
            rename(builder, "ssh_key_path", "ssh_private_key_file", Taken::Keep);
        }
    }
    Ok(())
}

pub fn ssh_disable_agent(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        if builder.get("ssh_disable_agent").is_some_and(Json::is_boolean) {
            rename(builder, "ssh_disable_agent", "ssh_disable_agent_forwarding", Taken::Keep);
        }
    }
    Ok(())
}

pub fn ssh_wait_timeout(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        if builder.get("ssh_wait_timeout").is_some_and(Json::is_string) {
            rename(builder, "ssh_wait_timeout", "ssh_timeout", Taken::Keep);
        }
    }
    Ok(())
}

pub fn scaleway(template: &mut Json) -> Done {
    for builder in builders(template, &["scaleway"]) {
        if builder.get("access_key").is_some_and(Json::is_string) {
            rename(builder, "access_key", "organization_id", Taken::Keep);
        }
    }
    Ok(())
}

/// On ESXi only thin disks are compacted; without a word about it the disk is not thin.
pub fn vmware_compaction(template: &mut Json) -> Done {
    for builder in builders(template, &["vmware-iso"]) {
        if builder.get("remote_type") != Some(&json!("esx5")) {
            continue;
        }
        let disk = builder.entry("disk_type_id").or_insert_with(|| "zeroedthick".into());
        if disk.as_str().is_some_and(|disk| disk != "thin") {
            builder.insert("skip_compaction".into(), true.into());
        }
    }
    Ok(())
}

pub fn hyperv_temp(template: &mut Json) -> Done {
    for builder in builders(template, &["hyperv-iso"]) {
        builder.remove("vhd_temp_path");
    }
    Ok(())
}

pub fn hyperv_typo(template: &mut Json) -> Done {
    for builder in builders(template, &["hyperv-vmcx"]) {
        rename(builder, "clone_from_vmxc_path", "clone_from_vmcx_path", Taken::Replace);
    }
    Ok(())
}

pub fn hyperv_size(template: &mut Json) -> Done {
    for builder in builders(template, &["hyperv-iso", "hyperv-vmcx"]) {
        rename(builder, "cpu", "cpus", Taken::Replace);
        rename(builder, "ram_size", "memory", Taken::Replace);
    }
    Ok(())
}

pub fn clean_name(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        for text in builder.values_mut() {
            if let Json::String(text) = text {
                *text = text.replace("clean_image_name", "clean_resource_name");
                *text = text.replace("clean_ami_name", "clean_resource_name");
            }
        }
    }
    Ok(())
}

pub fn qemu_disk_size(template: &mut Json) -> Done {
    for builder in builders(template, &["qemu"]) {
        if let Some(size) = builder.get_mut("disk_size")
            && let Some(number) = size.as_f64()
        {
            *size = format!("{:.0}M", number.trunc()).into();
        }
    }
    Ok(())
}

pub fn qemu_ports(template: &mut Json) -> Done {
    for builder in builders(template, &["qemu"]) {
        rename(builder, "ssh_host_port_min", "host_port_min", Taken::Replace);
        rename(builder, "ssh_host_port_max", "host_port_max", Taken::Replace);
    }
    Ok(())
}

pub fn virtualbox_ports(template: &mut Json) -> Done {
    for builder in objects(template, "builders") {
        if !kind(builder).starts_with("virtualbox-") {
            continue;
        }
        rename(builder, "ssh_host_port_min", "host_port_min", Taken::Keep);
        rename(builder, "ssh_host_port_max", "host_port_max", Taken::Keep);
        if builder.get("ssh_skip_nat_mapping").is_some_and(Json::is_boolean) {
            rename(builder, "ssh_skip_nat_mapping", "skip_nat_mapping", Taken::Keep);
        }
    }
    Ok(())
}

/// The card and the disk become the first ones of their lists.
pub fn vsphere(template: &mut Json) -> Done {
    for builder in builders(template, &["vsphere-iso"]) {
        to_list(builder, "network_adapters", &["network", "network_card"]);
        to_list(builder, "storage", &["disk_size", "disk_thin_provisioned", "disk_eagerly_scrub"]);
    }
    Ok(())
}

fn to_list(builder: &mut Object, list: &str, options: &[&str]) {
    if builder.get(list).is_some_and(|list| !list.is_array()) {
        return;
    }
    let first: Object = options
        .iter()
        .filter_map(|option| builder.remove(*option).map(|value| ((*option).to_owned(), value)))
        .collect();
    if first.is_empty() {
        return;
    }
    if let Json::Array(list) = builder.entry(list).or_insert_with(|| json!([])) {
        list.insert(0, first.into());
    }
}

pub fn azure_exclude(template: &mut Json) -> Done {
    for builder in builders(template, &["azure-chroot"]) {
        if let Some(Json::Object(destination)) = builder.get_mut("shared_image_destination") {
            rename(destination, "exlude_from_latest", "exclude_from_latest", Taken::Replace);
        }
    }
    Ok(())
}
