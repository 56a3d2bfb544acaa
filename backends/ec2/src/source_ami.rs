//! The image that the instance starts from.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{BlockDeviceMapping, Image, ImageState};
use bakehouse_api::{Error, Facts, Kind, Result, Value};

use crate::client::{ApiError, Ec2};
use crate::held::filter;
use crate::options::run::{AmiFilter, FilterBlock};
use crate::reregister::is_plain;

/// What is known of it.
#[derive(Clone, Debug)]
pub struct SourceAmi {
    pub id: String,
    pub name: String,
    pub owner: String,
    pub owner_alias: String,
    pub created: String,
    pub architecture: String,
    pub devices: Vec<BlockDeviceMapping>,
    pub tags: BTreeMap<String, String>,
    /// Nobody bills for what is in it.
    pub plain: bool,
}

impl From<Image> for SourceAmi {
    fn from(image: Image) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let plain = is_plain(&image);
        let tags = image.tags().iter().map(|tag| (text(tag.key()), text(tag.value()))).collect();
        Self {
            id: text(image.image_id()),
            name: text(image.name()),
            owner: text(image.owner_id()),
            owner_alias: text(image.image_owner_alias()),
            created: text(image.creation_date()),
            architecture: text(image.architecture().map(|architecture| architecture.as_str())),
            devices: image.block_device_mappings().to_vec(),
            tags,
            plain,
        }
    }
}

impl SourceAmi {
    pub async fn named(ec2: &Ec2, id: &str) -> Result<Self> {
        let doing = format!("looking at the source image {id}");
        let answer = match ec2.api.describe_images().image_ids(id).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(ec2.explain(doing, error).await),
        };
        let image = answer.images().first().cloned().ok_or_else(|| {
            Error::new(Kind::Input, format!("there is no image {id} in {}", ec2.region))
                .hint("an image belongs to one region; or you may not use this one")
        })?;
        usable(&image).map_err(|error| error.context(doing))?;
        Ok(image.into())
    }

    pub async fn find(ec2: &Ec2, wanted: &AmiFilter) -> Result<Self> {
        let mut request = ec2.api.describe_images().include_deprecated(wanted.include_deprecated);
        let filters = all_filters(&wanted.filters, &wanted.filter);
        for (name, value) in &filters {
            request = request.filters(filter(name, value));
        }
        let request = request.set_owners(Some(wanted.owners.clone()));
        let mut pages = request.into_paginator().send();
        let mut images: Vec<Image> = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => images.extend_from_slice(page.images()),
                Err(error) => return Err(ec2.explain("looking for the source image", error).await),
            }
        }
        images.retain(|image| usable(image).is_ok());
        choose(images, wanted.most_recent).map(Into::into).map_err(|error| {
            error.context(format!("source_ami_filter in {} with {}", ec2.region, shown(&filters, &wanted.owners)))
        })
    }

    /// For `build.*` and for `{{ .SourceAMI }}` in tags.
    pub fn facts(&self, region: &str) -> Facts {
        let mut facts: Facts =
            self.fields(region).into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let tags = self.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        facts.insert("SourceAMITags".into(), Value::object(tags));
        facts
    }

    pub fn fields<'a>(&'a self, region: &'a str) -> [(&'static str, &'a str); 6] {
        [
            ("BuildRegion", region),
            ("SourceAMI", &self.id),
            ("SourceAMIName", &self.name),
            ("SourceAMICreationDate", &self.created),
            ("SourceAMIOwner", &self.owner),
            ("SourceAMIOwnerName", &self.owner_alias),
        ]
    }
}

fn usable(image: &Image) -> Result<()> {
    match image.state() {
        Some(ImageState::Available) | None => Ok(()),
        Some(state) => {
            let id = image.image_id().unwrap_or_default();
            Err(Error::new(Kind::Input, format!("the image {id} is {}", state.as_str())))
        }
    }
}

fn choose(mut images: Vec<Image>, most_recent: bool) -> Result<Image> {
    images.sort_by(|one, other| one.creation_date().cmp(&other.creation_date()));
    if images.len() > 1 && !most_recent {
        let some: Vec<&str> = images.iter().filter_map(|image| image.image_id()).take(5).collect();
        return Err(Error::new(Kind::Config, format!("{} images fit: {}, ...", images.len(), some.join(", ")))
            .hint("narrow the filters, or set `most_recent = true`"));
    }
    images.pop().ok_or_else(|| {
        Error::new(Kind::Input, "no image fits").hint("check region, filters and owners: `aws ec2 describe-images`")
    })
}

pub fn all_filters(map: &BTreeMap<String, String>, blocks: &[FilterBlock]) -> Vec<(String, String)> {
    let blocks = blocks.iter().map(|block| (block.name.clone(), block.value.clone()));
    map.clone().into_iter().chain(blocks).collect()
}

fn shown(filters: &[(String, String)], owners: &[String]) -> String {
    let filters: Vec<String> = filters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} of {}", filters.join(", "), owners.join(", "))
}

/// Every image of ours of that name: the account may have one at most in a region.
pub async fn mine(ec2: &Ec2, name: &str) -> Result<Option<Image>, ApiError> {
    let answer = ec2.api.describe_images().owners("self").filters(filter("name", name)).send().await?;
    // The filter takes `*` and `?` for wild cards, and a name may have none of them.
    Ok(answer.images().iter().find(|image| image.name() == Some(name)).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, created: &str) -> Image {
        Image::builder().image_id(id).creation_date(created).build()
    }

    #[test]
    fn the_youngest_of_several_only_when_asked() {
        let images = vec![image("ami-2", "2026-02-01T00:00:00.000Z"), image("ami-1", "2026-01-01T00:00:00.000Z")];
        assert_eq!(choose(images.clone(), true).unwrap().image_id(), Some("ami-2"));
        assert_eq!(choose(images, false).unwrap_err().message(), "2 images fit: ami-1, ami-2, ...");
        assert_eq!(choose(vec![], true).unwrap_err().message(), "no image fits");
    }

    #[test]
    fn the_fields_of_a_source_image_are_packers() {
        let tag = aws_sdk_ec2::types::Tag::builder().key("os").value("debian").build();
        let source = SourceAmi::from(Image::builder().image_id("ami-1").name("base").tags(tag).build());
        let facts = source.facts("eu-west-1");
        assert_eq!(facts["SourceAMI"], Value::from("ami-1"));
        assert_eq!(facts["BuildRegion"], Value::from("eu-west-1"));
        assert_eq!(facts["SourceAMITags"].as_fields().unwrap()["os"], Value::from("debian"));
    }
}
