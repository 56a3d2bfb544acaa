//! The security group of a build: open for the communicator's port, to this machine alone where its address can be
//! known.

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType};
use bakehouse_api::{Cx, Error, Kind, Result};

use crate::client::{ApiError, Ec2, Reason, settled, tagged};
use crate::held::{Thing, acquire, filter};
use crate::options::RunOptions;
use crate::options::run::SshInterface;

const EVERYBODY: &str = "0.0.0.0/0";
/// Addresses that only private networks route.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
const WHO_AM_I: &str = "https://checkip.amazonaws.com/";
const PATIENCE: Duration = Duration::from_secs(5);

/// Who reaches the instance.
#[derive(Debug, PartialEq)]
pub enum Callers {
    Cidrs(Vec<String>),
    /// The address that this machine has to the world; an error, or everybody, where it cannot be had.
    PublicAddress {
        required: bool,
    },
    /// The connection comes from inside the instance.
    Nobody,
}

/// `indirect`: the connection comes through a bastion or a proxy, whose address nobody knows here.
pub fn callers(run: &RunOptions, loopback: bool, indirect: bool) -> Callers {
    let cidrs = |cidrs: &[&str]| Callers::Cidrs(cidrs.iter().map(|cidr| (*cidr).to_owned()).collect());
    match run.ssh_interface {
        _ if !run.temporary_security_group_source_cidrs.is_empty() => {
            Callers::Cidrs(run.temporary_security_group_source_cidrs.clone())
        }
        _ if run.temporary_security_group_source_public_ip => Callers::PublicAddress { required: true },
        SshInterface::SessionManager => Callers::Nobody,
        _ if loopback => cidrs(&["127.0.0.0/8"]),
        SshInterface::PrivateIp | SshInterface::PrivateDns => cidrs(&PRIVATE),
        SshInterface::Ipv6 => cidrs(&["::/0"]),
        _ if indirect => cidrs(&[EVERYBODY]),
        _ => Callers::PublicAddress { required: false },
    }
}

/// As CIDRs; empty: nobody.
pub async fn addresses(cx: &Cx, callers: Callers) -> Result<Vec<String>> {
    let required = match callers {
        Callers::Cidrs(cidrs) => return Ok(cidrs),
        Callers::Nobody => return Ok(Vec::new()),
        Callers::PublicAddress { required } => required,
    };
    match cx.interruptible(async { Ok(public_address().await) }).await? {
        Ok(address) => Ok(vec![single(address)]),
        Err(reason) if required => Err(Error::new(Kind::Host, reason)
            .context("finding out this machine's public address")
            .hint("name it: `temporary_security_group_source_cidrs`")),
        Err(reason) => {
            cx.warn(format!(
                "this machine's public address is not known ({reason}): the temporary security group is open to \
                 everybody. `temporary_security_group_source_cidrs` narrows it"
            ));
            Ok(vec![EVERYBODY.into()])
        }
    }
}

async fn public_address() -> Result<IpAddr, String> {
    let asked = tokio::task::spawn_blocking(|| {
        let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().new_agent();
        agent.get(WHO_AM_I).call().and_then(|mut answer| answer.body_mut().read_to_string())
    });
    let answer = asked.await.map_err(|error| error.to_string())?;
    let answer = answer.map_err(|error| format!("asking {WHO_AM_I}: {error}"))?;
    answer.trim().parse().map_err(|_| format!("{WHO_AM_I} answered with no address"))
}

fn single(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}

pub async fn create(
    cx: &Cx,
    ec2: &Ec2,
    name: &str,
    vpc: Option<&str>,
    port: u16,
    callers: &[String],
    tags: &[(String, String)],
) -> Result<String> {
    cx.say(format!("Creating temporary security group for this instance: {name}"));
    let request = ec2
        .api
        .create_security_group()
        .group_name(name)
        .description("Temporary group of a Bakehouse build")
        .set_vpc_id(vpc.map(str::to_owned))
        .set_tag_specifications(tagged([(ResourceType::SecurityGroup, tags)]));
    let thing = |id| Thing::SecurityGroup { name: name.to_owned(), id };
    let doing = format!("creating the security group {name}");
    let (id, _) = acquire(cx, ec2, &doing, thing(None), async {
        let id = match request.send().await.map_err(ApiError::from) {
            // Nobody else has this name: it was our own request, whose answer was lost.
            Err(error) if error.is(Reason::Duplicate) => again(ec2, name).await?,
            answer => answer?.group_id,
        };
        Ok((id.clone(), thing(id)))
    })
    .await?;
    let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS made a security group and did not say which"))?;
    if !callers.is_empty() {
        authorize(cx, ec2, &id, port, callers).await?;
    }
    Ok(id)
}

async fn again(ec2: &Ec2, name: &str) -> Result<Option<String>, ApiError> {
    let answer = ec2.api.describe_security_groups().filters(filter("group-name", name)).send().await?;
    Ok(answer.security_groups().first().and_then(|group| group.group_id().map(str::to_owned)))
}

async fn authorize(cx: &Cx, ec2: &Ec2, id: &str, port: u16, callers: &[String]) -> Result<()> {
    cx.say(format!(
        "Authorizing access to port {port} from {callers} in the temporary security group...",
        callers = callers.join(", ")
    ));
    let send = || {
        let request = ec2.api.authorize_security_group_ingress().group_id(id);
        let request = request.ip_permissions(permission(port, callers));
        async move { request.send().await.map_err(ApiError::from) }
    };
    match settled(send).await {
        Err(error) if !error.is(Reason::Duplicate) => {
            Err(ec2.explain(format!("opening port {port} of the security group {id}"), error).await)
        }
        _ => Ok(()),
    }
}

fn permission(port: u16, callers: &[String]) -> IpPermission {
    let mut permission = IpPermission::builder().ip_protocol("tcp").from_port(i32::from(port)).to_port(i32::from(port));
    for cidr in callers {
        permission = match cidr.contains(':') {
            true => permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).build()),
            false => permission.ip_ranges(IpRange::builder().cidr_ip(cidr).build()),
        };
    }
    permission.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_options;

    #[test]
    fn only_those_who_need_to_reach_it() {
        let mut run = run_options();
        assert_eq!(callers(&run, false, false), Callers::PublicAddress { required: false });
        assert_eq!(callers(&run, true, false), Callers::Cidrs(vec!["127.0.0.0/8".into()]));
        assert_eq!(callers(&run, false, true), Callers::Cidrs(vec![EVERYBODY.into()]));
        run.ssh_interface = SshInterface::SessionManager;
        assert_eq!(callers(&run, false, false), Callers::Nobody);
        run.temporary_security_group_source_cidrs = vec!["192.0.2.0/24".into()];
        assert_eq!(callers(&run, true, true), Callers::Cidrs(vec!["192.0.2.0/24".into()]));
    }

    #[test]
    fn a_permission_has_both_families() {
        let made = permission(22, &["192.0.2.1/32".into(), "2001:db8::/64".into()]);
        assert_eq!((made.from_port(), made.to_port()), (Some(22), Some(22)));
        assert_eq!(made.ip_ranges()[0].cidr_ip(), Some("192.0.2.1/32"));
        assert_eq!(made.ipv6_ranges()[0].cidr_ipv6(), Some("2001:db8::/64"));
    }
}
