//! What a build leaves: images by region, in the words that people's scripts read.

use std::collections::BTreeMap;

use bakehouse_api::Artifact;

use crate::client::Ec2;
use crate::held::{self, Thing};
use crate::survey::Survey;

pub const EBS: &str = "mitchellh.amazonebs";
pub const SURROGATE: &str = "mitchellh.amazon.ebssurrogate";
pub const VOLUME: &str = "mitchellh.amazon.ebsvolume";

/// For the Vagrant box and whoever asks.
pub fn facts(survey: &Survey) -> BTreeMap<String, String> {
    let source = &survey.source;
    [("architecture", &source.architecture), ("source_ami", &source.id), ("region", &survey.ec2.region)]
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .into()
}

/// `images` are pairs of region and id.
pub fn images(
    builder_id: &str,
    ec2: &Ec2,
    mut images: Vec<(String, String)>,
    facts: BTreeMap<String, String>,
) -> Artifact {
    images.sort();
    let id: Vec<String> = images.iter().map(|(region, id)| format!("{region}:{id}")).collect();
    let lines: String = images.iter().map(|(region, id)| format!("\n{region}: {id}")).collect();
    let destroy = images.iter().map(|(region, id)| {
        let thing = Thing::Image { name: id.clone(), of: String::new(), id: Some(id.clone()) };
        held::undo(&ec2.in_region(region), &thing, true)
    });
    Artifact {
        builder_id: builder_id.into(),
        id: id.join(","),
        text: format!("AMIs were created:{lines}\n"),
        destroy: destroy.collect(),
        facts,
        ..Artifact::default()
    }
}
