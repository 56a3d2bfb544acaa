//! What a template requires: a version, and the plugins that its components come from.

use std::collections::BTreeMap;

use super::super::template::Template;
use super::calls::quote;

/// The beginnings of the components' types, and the plugin that they come with.
const PLUGINS: [(&str, &str, &str); 32] = [
    ("alicloud-", "alicloud", "github.com/hashicorp/alicloud"),
    ("amazon-", "amazon", "github.com/hashicorp/amazon"),
    ("ansible", "ansible", "github.com/hashicorp/ansible"),
    ("azure-", "azure", "github.com/hashicorp/azure"),
    ("chef-", "chef", "github.com/hashicorp/chef"),
    ("cloudstack", "cloudstack", "github.com/hashicorp/cloudstack"),
    ("converge", "converge", "github.com/hashicorp/converge"),
    ("digitalocean", "digitalocean", "github.com/digitalocean/digitalocean"),
    ("docker", "docker", "github.com/hashicorp/docker"),
    ("exoscale-", "exoscale", "github.com/exoscale/exoscale"),
    ("googlecompute", "googlecompute", "github.com/hashicorp/googlecompute"),
    ("hcloud", "hcloud", "github.com/hetznercloud/hcloud"),
    ("hyperv-", "hyperv", "github.com/hashicorp/hyperv"),
    ("inspec", "inspec", "github.com/hashicorp/inspec"),
    ("linode", "linode", "github.com/linode/linode"),
    ("lxc", "lxc", "github.com/hashicorp/lxc"),
    ("lxd", "lxd", "github.com/hashicorp/lxd"),
    ("openstack", "openstack", "github.com/hashicorp/openstack"),
    ("oracle-", "oracle", "github.com/hashicorp/oracle"),
    ("osc-", "outscale", "github.com/outscale/outscale"),
    ("parallels-", "parallels", "github.com/parallels/parallels"),
    ("proxmox", "proxmox", "github.com/hashicorp/proxmox"),
    ("puppet-", "puppet", "github.com/hashicorp/puppet"),
    ("qemu", "qemu", "github.com/hashicorp/qemu"),
    ("salt-masterless", "salt", "github.com/hashicorp/salt"),
    ("scaleway", "scaleway", "github.com/scaleway/scaleway"),
    ("tencentcloud-", "tencentcloud", "github.com/hashicorp/tencentcloud"),
    ("vagrant", "vagrant", "github.com/hashicorp/vagrant"),
    ("virtualbox-", "virtualbox", "github.com/hashicorp/virtualbox"),
    ("vmware-", "vmware", "github.com/hashicorp/vmware"),
    ("vsphere", "vsphere", "github.com/hashicorp/vsphere"),
    ("yandex", "yandex", "github.com/yandex-cloud/yandex"),
];

/// Empty when nothing is required.
pub fn packer_block(template: &Template) -> String {
    let minimum = template.min_version.as_ref().map_or("", |minimum| minimum.text.trim_start_matches('v'));
    let version = match minimum {
        "" => String::new(),
        minimum => format!("required_version = {}\n", quote(&format!(">= {minimum}"))),
    };
    let plugin =
        |(name, source): (&str, &str)| format!("{name} = {{\nversion = \">= 1.0.0\"\nsource = {}\n}}\n", quote(source));
    let plugins: String = plugins(template).into_iter().map(plugin).collect();
    let plugins = if plugins.is_empty() { plugins } else { format!("required_plugins {{\n{plugins}}}\n") };
    if version.is_empty() && plugins.is_empty() {
        return String::new();
    }
    format!("packer {{\n{version}{plugins}}}\n")
}

fn plugins(template: &Template) -> BTreeMap<&'static str, &'static str> {
    let builders = template.builders.iter().map(|builder| &builder.kind);
    let steps = template.provisioners.iter().chain(&template.on_error).map(|step| &step.kind);
    let posts = template.chains.iter().flatten().map(|post| &post.kind);
    let plugin = |kind: &String| PLUGINS.iter().find(|(prefix, ..)| kind.starts_with(prefix));
    builders.chain(steps).chain(posts).filter_map(plugin).map(|(_, name, source)| (*name, *source)).collect()
}
