//! Which regions get an image, and who has its name there: asked in all of them before anything is made.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Image;
use bakehouse_api::{Cx, Error, Kind, Result};
use futures::future::try_join_all;

use crate::client::Ec2;
use crate::options::AmiOptions;
use crate::retire;
use crate::survey::{check_regions, rehearse_copies};

#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Other regions, in order.
    pub copies: Vec<String>,
    /// Images that the new one takes the place of, by region.
    pub old: BTreeMap<String, Image>,
}

impl Names {
    /// `source`: an image to ask with whether copies are allowed.
    pub async fn find(cx: &Cx, ec2: &Ec2, source: Option<&str>, ami: &AmiOptions) -> Result<Self> {
        let home = &ec2.region;
        let copies: Vec<String> = ami.ami_regions.iter().filter(|region| *region != home).cloned().collect();
        let place = |error: Error| error.at(ami.spans.at("ami_regions"));
        if !ami.skip_region_validation {
            cx.interruptible(check_regions(ec2, &copies)).await.map_err(place)?;
        }
        if let Some(source) = source {
            cx.interruptible(rehearse_copies(ec2, source, &copies)).await.map_err(place)?;
        }
        cx.say(format!("Prevalidating AMI Name: {}", ami.ami_name));
        let here = Some(home).filter(|_| !ami.skip_save_build_region);
        let held = here.into_iter().chain(&copies).map(|region| holder(ec2, region, &ami.ami_name));
        let mut old = BTreeMap::new();
        for (region, held) in cx.interruptible(try_join_all(held)).await? {
            let Some(image) = held else { continue };
            if !ami.force_deregister && !cx.settings().force {
                let id = image.image_id().unwrap_or_default();
                let error = format!("the AMI name `{}` is used by {id} in {region}", ami.ami_name);
                let hint = "choose another `ami_name`, or set `force_deregister` for the new image to take its place";
                return Err(Error::new(Kind::Config, error).hint(hint).at(ami.spans.at("ami_name")));
            }
            old.insert(region, image);
        }
        Ok(Self { copies, old })
    }
}

async fn holder(ec2: &Ec2, region: &str, name: &str) -> Result<(String, Option<Image>)> {
    let ec2 = ec2.in_region(region);
    match retire::holder(&ec2, name).await {
        Ok(held) => Ok((region.to_owned(), held)),
        Err(error) => Err(ec2.explain(format!("looking for `{name}` in {region}"), error).await),
    }
}
