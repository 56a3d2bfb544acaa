//! What the service tells, by path. Pure.

use serde_json::json;

/// The versions of the service that guests ask for.
const VERSIONS: [&str; 6] = ["1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"];
/// Belongs to nobody.
const ACCOUNT: &str = "000000000000";

#[derive(Clone, Debug)]
pub struct Identity {
    pub instance_id: String,
    pub instance_type: String,
    pub image_id: String,
    pub hostname: String,
    pub address: String,
    pub mac: String,
    pub region: String,
    pub public_key: Option<String>,
    pub user_data: Option<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Text(String),
    Bytes(&'a [u8]),
}

pub struct Tree {
    root: Node,
    user_data: Option<Vec<u8>>,
}

enum Node {
    Value(String),
    UserData,
    Folder(Vec<(String, Node)>),
}

impl Tree {
    pub fn of(identity: &Identity) -> Self {
        let mut top = vec![
            ("dynamic", folder([("instance-identity", folder([("document", value(document(identity)))]))])),
            ("meta-data", meta_data(identity)),
        ];
        if identity.user_data.is_some() {
            top.push(("user-data", Node::UserData));
        }
        Self { root: folder(top), user_data: identity.user_data.clone() }
    }

    /// The value at a path, or the names below it.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let Some(version) = parts.next() else { return Some(Found::Text(VERSIONS.join("\n"))) };
        let mut here = VERSIONS.contains(&version).then_some(&self.root)?;
        for part in parts {
            let Node::Folder(entries) = here else { return None };
            here = entries.iter().find_map(|(name, node)| (name == part).then_some(node))?;
        }
        Some(match here {
            Node::Value(text) => Found::Text(text.clone()),
            Node::UserData => Found::Bytes(self.user_data.as_deref()?),
            Node::Folder(entries) => Found::Text(listed(entries)),
        })
    }
}

fn folder<'a>(entries: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
    Node::Folder(entries.into_iter().map(|(name, node)| (name.to_owned(), node)).collect())
}

fn value(text: impl Into<String>) -> Node {
    Node::Value(text.into())
}

/// A slash after what has names below itself. A key's folder is listed as `0=its-name` and opened as `0`.
fn listed(entries: &[(String, Node)]) -> String {
    let line = |(name, node): &(String, Node)| match node {
        Node::Folder(below) if below.iter().any(|(name, _)| name == "openssh-key") => format!("{name}=bakehouse"),
        Node::Folder(_) => format!("{name}/"),
        _ => name.clone(),
    };
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn meta_data(identity: &Identity) -> Node {
    let Identity { address, hostname, mac, region, .. } = identity;
    let zone = zone(region);
    let interface = folder([
        ("device-number", value("0")),
        ("interface-id", value("eni-00000000000000000")),
        ("local-hostname", value(hostname)),
        ("local-ipv4s", value(address)),
        ("mac", value(mac)),
        ("owner-id", value(ACCOUNT)),
        ("security-groups", value("bakehouse")),
        ("subnet-id", value("subnet-00000000000000000")),
        ("subnet-ipv4-cidr-block", value("169.254.0.0/16")),
        ("vpc-id", value("vpc-00000000000000000")),
    ]);
    let mut entries = vec![
        ("ami-id", value(&identity.image_id)),
        ("ami-launch-index", value("0")),
        ("block-device-mapping", folder([("ami", value("/dev/xvda")), ("root", value("/dev/xvda"))])),
        ("hostname", value(hostname)),
        ("instance-action", value("none")),
        ("instance-id", value(&identity.instance_id)),
        ("instance-life-cycle", value("on-demand")),
        ("instance-type", value(&identity.instance_type)),
        ("local-hostname", value(hostname)),
        ("local-ipv4", value(address)),
        ("mac", value(mac)),
        ("network", folder([("interfaces", folder([("macs", folder([(mac.as_str(), interface)]))]))])),
        ("placement", folder([("availability-zone", value(zone)), ("region", value(region))])),
        ("reservation-id", value("r-00000000000000000")),
        ("security-groups", value("bakehouse")),
        ("services", folder([("domain", value("amazonaws.com")), ("partition", value("aws"))])),
    ];
    if let Some(key) = &identity.public_key {
        let key = folder([("0", folder([("openssh-key", value(format!("{}\n", key.trim())))]))]);
        entries.push(("public-keys", key));
    }
    folder(entries)
}

fn zone(region: &str) -> String {
    format!("{region}a")
}

fn document(identity: &Identity) -> String {
    let document = json!({
        "accountId": ACCOUNT,
        "architecture": "x86_64",
        "availabilityZone": zone(&identity.region),
        "imageId": identity.image_id,
        "instanceId": identity.instance_id,
        "instanceType": identity.instance_type,
        "privateIp": identity.address,
        "region": identity.region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}
