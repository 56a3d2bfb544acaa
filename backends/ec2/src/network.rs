//! Where the instance stands: VPC, subnet, security groups that exist already.

use aws_sdk_ec2::types::Subnet;
use bakehouse_api::{Error, Kind, Result};

use crate::client::Ec2;
use crate::held::filter;
use crate::options::RunOptions;
use crate::options::run::{GroupFilter, SubnetFilter, VpcFilter};
use crate::source_ami::all_filters;

#[derive(Clone, Debug, Default)]
pub struct Network {
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    pub zone: Option<String>,
    /// Empty: a temporary group is made.
    pub groups: Vec<String>,
}

pub fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

impl Network {
    pub async fn find(ec2: &Ec2, run: &RunOptions) -> Result<Self> {
        let mut network = Self {
            vpc: given(&run.vpc_id),
            subnet: given(&run.subnet_id),
            zone: given(&run.availability_zone),
            groups: run.security_group_ids.clone(),
        };
        network.groups.extend(given(&run.security_group_id));
        if let (None, Some(wanted)) = (&network.vpc, &run.vpc_filter) {
            network.vpc = Some(vpc(ec2, wanted).await?);
        }
        if let (None, Some(wanted)) = (&network.subnet, &run.subnet_filter) {
            let found = subnet(ec2, wanted, network.vpc.as_deref(), network.zone.as_deref()).await?;
            network.subnet = found.subnet_id;
        }
        if let Some(id) = &network.subnet {
            let found = subnet_named(ec2, id).await?;
            network.vpc = network.vpc.or(found.vpc_id);
            network.zone = network.zone.or(found.availability_zone);
        } else if network.vpc.is_none() {
            network.vpc = Some(default_vpc(ec2).await?);
        }
        if let (true, Some(wanted)) = (network.groups.is_empty(), &run.security_group_filter) {
            network.groups = groups(ec2, wanted, network.vpc.as_deref()).await?;
        }
        Ok(network)
    }
}

async fn vpc(ec2: &Ec2, wanted: &VpcFilter) -> Result<String> {
    let mut request = ec2.api.describe_vpcs();
    for (name, value) in all_filters(&wanted.filters, &wanted.filter) {
        request = request.filters(filter(&name, &value));
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain("looking for the VPC", error).await),
    };
    let ids: Vec<String> = answer.vpcs().iter().filter_map(|vpc| vpc.vpc_id().map(str::to_owned)).collect();
    only_one(ids, "VPC", "vpc_filter")
}

async fn default_vpc(ec2: &Ec2) -> Result<String> {
    let answer = match ec2.api.describe_vpcs().filters(filter("is-default", "true")).send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain("looking for the default VPC", error).await),
    };
    answer.vpcs().first().and_then(|vpc| vpc.vpc_id().map(str::to_owned)).ok_or_else(|| {
        Error::new(Kind::Config, format!("the account has no default VPC in {}", ec2.region))
            .hint("name a place for the instance: `subnet_id`, or `vpc_filter` and `subnet_filter`")
    })
}

async fn subnet_named(ec2: &Ec2, id: &str) -> Result<Subnet> {
    let answer = match ec2.api.describe_subnets().subnet_ids(id).send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain(format!("looking at the subnet {id}"), error).await),
    };
    let found = answer.subnets().first().cloned();
    found.ok_or_else(|| Error::new(Kind::Input, format!("there is no subnet {id} in {}", ec2.region)))
}

async fn subnet(ec2: &Ec2, wanted: &SubnetFilter, vpc: Option<&str>, zone: Option<&str>) -> Result<Subnet> {
    let mut request = ec2.api.describe_subnets();
    for (name, value) in all_filters(&wanted.filters, &wanted.filter) {
        request = request.filters(filter(&name, &value));
    }
    for (name, value) in [("vpc-id", vpc), ("availability-zone", zone)] {
        if let Some(value) = value {
            request = request.filters(filter(name, value));
        }
    }
    match request.send().await {
        Ok(answer) => choose(answer.subnets().to_vec(), wanted),
        Err(error) => Err(ec2.explain("looking for the subnet", error).await),
    }
}

fn choose(mut subnets: Vec<Subnet>, wanted: &SubnetFilter) -> Result<Subnet> {
    if wanted.most_free {
        subnets.sort_by_key(|subnet| subnet.available_ip_address_count());
    } else if wanted.random && !subnets.is_empty() {
        let chosen = rand::random_range(0..subnets.len());
        return Ok(subnets.swap_remove(chosen));
    } else if subnets.len() > 1 {
        return Err(Error::new(Kind::Config, format!("{} subnets fit `subnet_filter`", subnets.len()))
            .hint("narrow it, or set `most_free` or `random`"));
    }
    subnets.pop().ok_or_else(|| Error::new(Kind::Input, "no subnet fits `subnet_filter`"))
}

async fn groups(ec2: &Ec2, wanted: &GroupFilter, vpc: Option<&str>) -> Result<Vec<String>> {
    let mut request = ec2.api.describe_security_groups();
    for (name, value) in all_filters(&wanted.filters, &wanted.filter) {
        request = request.filters(filter(&name, &value));
    }
    if let Some(vpc) = vpc {
        request = request.filters(filter("vpc-id", vpc));
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain("looking for the security groups", error).await),
    };
    let ids: Vec<String> =
        answer.security_groups().iter().filter_map(|group| group.group_id().map(str::to_owned)).collect();
    if ids.is_empty() {
        return Err(Error::new(Kind::Input, "no security group fits `security_group_filter`"));
    }
    Ok(ids)
}

fn only_one(mut ids: Vec<String>, what: &str, option: &str) -> Result<String> {
    match ids.len() {
        1 => Ok(ids.swap_remove(0)),
        0 => Err(Error::new(Kind::Input, format!("no {what} fits `{option}`"))),
        many => Err(Error::new(Kind::Config, format!("{many} {what}s fit `{option}`: {}", ids.join(", ")))
            .hint("narrow the filters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(most_free: bool) -> SubnetFilter {
        SubnetFilter {
            filters: Default::default(),
            filter: vec![],
            most_free,
            random: false,
            spans: Default::default(),
        }
    }

    #[test]
    fn one_subnet_is_chosen_of_several() {
        let subnet = |id: &str, free| Subnet::builder().subnet_id(id).available_ip_address_count(free).build();
        let subnets = vec![subnet("a", 5), subnet("b", 9), subnet("c", 7)];
        assert_eq!(choose(subnets.clone(), &wanted(true)).unwrap().subnet_id(), Some("b"));
        assert_eq!(choose(subnets, &wanted(false)).unwrap_err().message(), "3 subnets fit `subnet_filter`");
        assert!(choose(vec![], &wanted(true)).is_err());
    }
}
