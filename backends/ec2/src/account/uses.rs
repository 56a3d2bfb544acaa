//! Who uses an image: instances, versions of launch templates, launch configurations, and the Auto Scaling groups
//! that start instances by them.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification};
use aws_sdk_ec2::types::{Filter, InstanceStateName, LaunchTemplate, LaunchTemplateVersion};
use bakehouse_api::{Error, Result};
use futures::{StreamExt, TryStreamExt, stream};

use crate::client::{ApiError, Ec2, Reason};

/// How many values EC2 takes in one filter.
const VALUES: usize = 200;
/// Calls at a time.
const SIDE_BY_SIDE: usize = 6;
/// A template may name a parameter of Systems Manager in place of an image.
const PARAMETER: &str = "resolve:ssm:";

/// By the image's id.
type Uses = BTreeMap<String, Vec<String>>;

/// The users of these images; and what could not be asked for want of permission.
pub async fn of(ec2: &Ec2, images: &[String]) -> Result<(Uses, Vec<String>)> {
    if images.is_empty() {
        return Ok(Default::default());
    }
    let (instances, templates, groups) = tokio::join!(instances(ec2, images), templates(ec2), Groups::of(ec2));
    let (mut uses, mut blind) = (Uses::new(), Vec::new());
    for (image, id) in seen(instances, ec2, "instances", &mut blind)? {
        uses.entry(image).or_default().push(format!("instance {id}"));
    }
    let groups = seen(groups, ec2, "Auto Scaling groups", &mut blind)?;
    for version in seen(templates, ec2, "launch templates", &mut blind)? {
        let Some(image) = version.launch_template_data().and_then(|data| data.image_id()) else { continue };
        let id = version.launch_template_id().unwrap_or_default();
        let name = version.launch_template_name().unwrap_or_default();
        let number = version.version_number().unwrap_or_default();
        let users = uses.entry(image.to_owned()).or_default();
        users.push(format!("launch template {name} ({id}) version {number}"));
        users.extend(groups.with_template(id, name));
    }
    for (image, name) in &groups.configurations {
        let users = uses.entry(image.clone()).or_default();
        users.push(format!("launch configuration {name}"));
        users.extend(groups.with_configuration(name));
    }
    for (image, group) in &groups.overrides {
        uses.entry(image.clone()).or_default().push(format!("Auto Scaling group {group}"));
    }
    for users in uses.values_mut() {
        users.sort();
        users.dedup();
    }
    Ok((uses, blind))
}

/// A missing permission leaves a blind spot; any other failure is one.
fn seen<T: Default>(asked: Result<T, ApiError>, ec2: &Ec2, what: &str, blind: &mut Vec<String>) -> Result<T> {
    match asked {
        Ok(seen) => Ok(seen),
        Err(error) if error.is(Reason::Denied) => {
            blind.push(format!("{what} in {}: {error}", ec2.region));
            Ok(T::default())
        }
        Err(error) => Err(Error::from(error).context(format!("looking at the {what} in {}", ec2.region))),
    }
}

/// Pairs of image and instance. What is terminated starts no more.
async fn instances(ec2: &Ec2, images: &[String]) -> Result<Vec<(String, String)>, ApiError> {
    use InstanceStateName::{Pending, Running, ShuttingDown, Stopped, Stopping};
    let states = [Pending, Running, ShuttingDown, Stopping, Stopped].map(|state| state.as_str().to_owned());
    let states = Filter::builder().name("instance-state-name").set_values(Some(states.into())).build();
    let mut found = Vec::new();
    for some in images.chunks(VALUES) {
        let of_them = Filter::builder().name("image-id").set_values(Some(some.to_vec())).build();
        let request = ec2.api.describe_instances().filters(states.clone()).filters(of_them);
        let reservations = request.into_paginator().items().send().try_collect().await?;
        let instances = reservations.iter().flat_map(|reservation| reservation.instances());
        found
            .extend(instances.filter_map(|instance| Some((instance.image_id.clone()?, instance.instance_id.clone()?))));
    }
    Ok(found)
}

/// Every version of every launch template, with the images that it means today.
async fn templates(ec2: &Ec2) -> Result<Vec<LaunchTemplateVersion>, ApiError> {
    let all = ec2.api.describe_launch_templates().into_paginator().items().send().try_collect().await?;
    let versions = stream::iter(all).map(|template| versions(ec2, template)).buffer_unordered(SIDE_BY_SIDE);
    Ok(versions.try_collect::<Vec<_>>().await?.concat())
}

async fn versions(ec2: &Ec2, template: LaunchTemplate) -> Result<Vec<LaunchTemplateVersion>, ApiError> {
    let request = ec2.api.describe_launch_template_versions().set_launch_template_id(template.launch_template_id);
    let versions = request.clone().into_paginator().items().send().try_collect().await?;
    let image = |version: &LaunchTemplateVersion| version.launch_template_data()?.image_id().map(str::to_owned);
    if versions.iter().filter_map(image).any(|image| image.starts_with(PARAMETER)) {
        return Ok(request.resolve_alias(true).into_paginator().items().send().try_collect().await?);
    }
    Ok(versions)
}

#[derive(Default)]
struct Groups {
    groups: Vec<AutoScalingGroup>,
    /// Pairs of image and launch configuration.
    configurations: Vec<(String, String)>,
    /// Pairs of image and group, of groups that name images themselves.
    overrides: Vec<(String, String)>,
}

impl Groups {
    async fn of(ec2: &Ec2) -> Result<Self, ApiError> {
        let config = aws_sdk_autoscaling::config::Builder::from(&ec2.session.config)
            .region(aws_sdk_autoscaling::config::Region::new(ec2.region.clone()));
        let api = aws_sdk_autoscaling::Client::from_conf(config.build());
        let groups = api.describe_auto_scaling_groups().into_paginator().items().send().try_collect().await?;
        let configurations = api.describe_launch_configurations().into_paginator().items().send().try_collect().await?;
        let configurations = configurations.into_iter();
        let configurations =
            configurations.filter_map(|it| Some((it.image_id?, it.launch_configuration_name?))).collect();
        let overrides = groups.iter().flat_map(|group| {
            let name = name(group);
            let policy = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
            let overrides = policy.map(|policy| policy.overrides()).unwrap_or_default().iter();
            overrides.filter_map(move |it| Some((it.image_id()?.to_owned(), name.clone())))
        });
        let overrides = overrides.collect();
        Ok(Self { groups, configurations, overrides })
    }

    fn with_template(&self, id: &str, name: &str) -> Vec<String> {
        let it = |template: &&LaunchTemplateSpecification| {
            template.launch_template_id() == Some(id) || template.launch_template_name() == Some(name)
        };
        self.told(|group| specifications(group).iter().any(it))
    }

    fn with_configuration(&self, name: &str) -> Vec<String> {
        self.told(|group| group.launch_configuration_name() == Some(name))
    }

    fn told(&self, uses: impl Fn(&AutoScalingGroup) -> bool) -> Vec<String> {
        let users = self.groups.iter().filter(|group| uses(group));
        users.map(|group| format!("Auto Scaling group {}", name(group))).collect()
    }
}

fn name(group: &AutoScalingGroup) -> String {
    group.auto_scaling_group_name().unwrap_or_default().to_owned()
}

/// The launch templates of a group, those of its mixed instances too.
fn specifications(group: &AutoScalingGroup) -> Vec<&LaunchTemplateSpecification> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = mixed.map(|mixed| mixed.overrides()).unwrap_or_default();
    let overrides = overrides.iter().filter_map(|it| it.launch_template_specification());
    let mixed = mixed.and_then(|mixed| mixed.launch_template_specification());
    group.launch_template().into_iter().chain(mixed).chain(overrides).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{LaunchTemplate, LaunchTemplateOverrides, MixedInstancesPolicy};

    use super::*;

    fn specification(name: &str) -> LaunchTemplateSpecification {
        LaunchTemplateSpecification::builder().launch_template_name(name).build()
    }

    #[test]
    fn a_group_uses_its_template_and_those_of_its_mixed_instances() {
        let other = LaunchTemplateOverrides::builder().launch_template_specification(specification("arm")).build();
        let template = LaunchTemplate::builder().launch_template_specification(specification("web")).overrides(other);
        let policy = MixedInstancesPolicy::builder().launch_template(template.build()).build();
        let mixed = AutoScalingGroup::builder().auto_scaling_group_name("mixed").mixed_instances_policy(policy);
        let plain = AutoScalingGroup::builder().auto_scaling_group_name("plain").launch_template(specification("web"));
        let groups = Groups { groups: vec![mixed.build(), plain.build()], ..Groups::default() };
        assert_eq!(groups.with_template("lt-1", "web"), ["Auto Scaling group mixed", "Auto Scaling group plain"]);
        assert_eq!(groups.with_template("lt-2", "arm"), ["Auto Scaling group mixed"]);
        assert!(groups.with_configuration("web").is_empty());
    }
}
