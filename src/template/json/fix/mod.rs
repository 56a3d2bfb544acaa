//! Old spellings of legacy templates to those of today: one function for each, in Packer's order.

mod amazon;
mod builders;
mod hint;
mod steps;
mod text;

use serde_json::{Map, Value as Json};

use super::read::Item;
use bakehouse_api::value::Data;
pub use hint::hint;
pub use text::pretty;

#[derive(Debug, thiserror::Error)]
pub enum FixError {
    #[error("`{0}` must be true or false, and it is `{1}`")]
    NotABool(&'static str, String),
    #[error("a number of {0} digits is too large")]
    Number(usize),
}

pub struct Fixer {
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    run: fn(&mut Json) -> Result<(), FixError>,
}

/// `row("name", "what it does", function)`
const fn row(name: &'static str, about: &'static str, run: fn(&mut Json) -> Result<(), FixError>) -> Fixer {
    Fixer { name, about, run }
}

/// The order counts: some finish what others begin.
pub const FIXERS: &[Fixer] = &[
    row("iso-md5", "`iso_md5` becomes `iso_checksum`", builders::iso_md5),
    row("createtime", "`{{.CreateTime}}` in `ami_name` becomes `{{timestamp}}`", amazon::create_time),
    row("virtualbox-gaattach", "`guest_additions_attach` becomes `guest_additions_mode`", builders::guest_additions),
    row("pp-vagrant-override", "what the vagrant post-processor sets per platform goes to `override`", steps::vagrant),
    row("virtualbox-rename", "the builder `virtualbox` is now `virtualbox-iso`", builders::virtualbox),
    row("vmware-rename", "the builder `vmware` is now `vmware-iso`", builders::vmware),
    row("parallels-headless", "Parallels builders have no `headless`", builders::parallels_headless),
    row(
        "parallels-deprecations",
        "Parallels builders have no `parallels_tools_host_path`, and `guest_os_distribution` becomes `guest_os_type`",
        builders::parallels,
    ),
    row("sshkeypath", "`ssh_key_path` becomes `ssh_private_key_file`", builders::ssh_key_path),
    row("sshdisableagent", "`ssh_disable_agent` becomes `ssh_disable_agent_forwarding`", builders::ssh_disable_agent),
    row("scaleway-access-key", "`access_key` of Scaleway becomes `organization_id`", builders::scaleway),
    row("manifest-filename", "`filename` of the manifest post-processor becomes `output`", steps::manifest),
    row("amazon-shutdown_behavior", "`shutdown_behaviour` becomes `shutdown_behavior`", amazon::shutdown_behavior),
    row("amazon-enhanced-networking", "`enhanced_networking` becomes `ena_support`", amazon::enhanced_networking),
    row("amazon-private-ip", "`ssh_private_ip` becomes `ssh_interface`", amazon::private_ip),
    row(
        "amazon-temp-sec-cidrs",
        "`temporary_security_group_source_cidr` becomes the list `temporary_security_group_source_cidrs`",
        amazon::temporary_cidrs,
    ),
    row("docker-email", "`login_email` is gone from Docker", steps::docker_email),
    row("docker-tag-tags", "`tag` of docker-tag becomes the list `tags`", steps::docker_tags),
    row(
        "powershell-escapes",
        "escapes in variables and passwords of powershell are no longer needed",
        steps::powershell,
    ),
    row("vmware-compaction", "ESXi disks that cannot be compacted get `skip_compaction`", builders::vmware_compaction),
    row("hyperv-deprecations", "`vhd_temp_path` is gone from hyperv-iso", builders::hyperv_temp),
    row("hyperv-vmxc-typo", "`clone_from_vmxc_path` becomes `clone_from_vmcx_path`", builders::hyperv_typo),
    row("hyperv-cpu-and-ram", "`cpu` becomes `cpus` and `ram_size` becomes `memory`", builders::hyperv_size),
    row(
        "clean-image-name",
        "`clean_image_name` and `clean_ami_name` become `clean_resource_name`",
        builders::clean_name,
    ),
    row("spot-price-auto-product", "`spot_price_auto_product` is gone from Amazon builders", amazon::spot_product),
    row("qemu-disk-size", "a number in `disk_size` of qemu becomes a size in megabytes", builders::qemu_disk_size),
    row("galaxy-command", "`galaxycommand` of ansible-local becomes `galaxy_command`", steps::galaxy_command),
    row("comm-config", "VirtualBox's ports and NAT mapping lose their `ssh_`", builders::virtualbox_ports),
    row("ssh-wait-timeout", "`ssh_wait_timeout` becomes `ssh_timeout`", builders::ssh_wait_timeout),
    row("vsphere-iso-net-disk", "network and disk of vsphere-iso go to lists", builders::vsphere),
    row("iso-checksum-type-and-url", "type and URL of a checksum go to `iso_checksum`", builders::iso_checksum),
    row("qemu-host-port", "qemu's ports lose their `ssh_`", builders::qemu_ports),
    row("azure-exclude_from_latest", "`exlude_from_latest` becomes `exclude_from_latest`", builders::azure_exclude),
    row("proxmox-type", "the builder `proxmox` is now `proxmox-iso`", builders::proxmox),
];

/// Runs all of them over a template.
pub fn fix(root: &Item) -> Result<Json, FixError> {
    let mut template = json(root)?;
    for fixer in FIXERS {
        (fixer.run)(&mut template)?;
    }
    Ok(template)
}

/// The plain values of an item.
fn json(item: &Item) -> Result<Json, FixError> {
    Ok(match item {
        Item::Array(items, _) => Json::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Item::Object(entries, _) => {
            let field = |(name, _, item): &(String, _, Item)| Ok((name.clone(), json(item)?));
            Json::Object(entries.iter().map(field).collect::<Result<_, _>>()?)
        }
        Item::Scalar(node) => match &node.value.data {
            Data::Bool(value) => (*value).into(),
            Data::String(text) => text.to_string().into(),
            Data::Number(number) => {
                let text = number.to_string();
                Json::Number(text.parse().map_err(|_| FixError::Number(text.len()))?)
            }
            _ => Json::Null,
        },
    })
}

type Object = Map<String, Json>;

/// The objects under a root key, those in chains as well.
fn objects<'a>(template: &'a mut Json, key: &str) -> Vec<&'a mut Object> {
    let items = template.get_mut(key).and_then(Json::as_array_mut).into_iter().flatten();
    let flat = items.flat_map(|item| match item {
        Json::Array(chain) => chain.iter_mut().collect(),
        single => vec![single],
    });
    flat.filter_map(Json::as_object_mut).collect()
}

fn kind(object: &Object) -> &str {
    object.get("type").and_then(Json::as_str).unwrap_or_default()
}

/// What to do when the new name of an option is taken.
#[derive(Clone, Copy, PartialEq)]
enum Taken {
    Keep,
    Replace,
}

/// Moves an option to another name.
fn rename(object: &mut Object, from: &str, to: &str, taken: Taken) {
    if let Some(value) = object.remove(from)
        && (taken == Taken::Replace || !object.contains_key(to))
    {
        object.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
