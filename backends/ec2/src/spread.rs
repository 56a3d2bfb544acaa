//! An image in every region that is asked for: copied, shared, in the place of an old one, handed over.

use bakehouse_api::{Cx, Result};
use futures::future::{join_all, try_join_all};

use crate::client::{Ec2, Pace};
use crate::copy::{Encryption, copy};
use crate::image::{self, Label, Made};
use crate::names::Names;
use crate::network::given;
use crate::options::AmiOptions;
use crate::retire;
use crate::share::share;

pub struct Spread {
    pub label: Label,
    pub names: Names,
    pub ami: AmiOptions,
    pub pace: Pace,
}

impl Spread {
    /// The name in a region, or another one as long as it is not free or not wanted there.
    pub fn label_in(&self, region: &str) -> Label {
        let unwanted = self.ami.skip_save_build_region && !self.names.copies.iter().any(|copy| copy == region);
        match self.names.old.contains_key(region) || unwanted {
            true => self.label.named(&retire::other_name(&self.label.name)),
            false => self.label.clone(),
        }
    }

    /// In all other regions at once.
    pub async fn copies(&self, cx: &Cx, ec2: &Ec2, first: &Made) -> Result<Vec<Made>> {
        try_join_all(self.names.copies.iter().map(|region| self.copy(cx, ec2, first, region))).await
    }

    async fn copy(&self, cx: &Cx, ec2: &Ec2, first: &Made, region: &str) -> Result<Made> {
        let there = ec2.in_region(region);
        let key = self.ami.region_kms_key_ids.get(region).cloned();
        let encryption = match (key, self.ami.encrypt_boot) {
            (Some(key), _) => Encryption::With(given(&Some(key))),
            (None, Some(true)) => Encryption::With(None),
            (None, _) => Encryption::AsItIs,
        };
        copy(cx, &there, (&first.region, &first.id), &self.label_in(region), &encryption, self.pace).await
    }

    /// Everything is there and nothing old is gone yet: share it, let it take the old one's place, hand it over.
    pub async fn settle(&self, cx: &Cx, ec2: &Ec2, first: Made, copies: Vec<Made>) -> Result<Vec<(String, String)>> {
        let mut kept = copies;
        if self.ami.skip_save_build_region {
            cx.say(format!("Removing {}: it was only to be copied", first.id));
            cx.release(first.undo).await?;
        } else {
            kept.insert(0, first);
        }
        try_join_all(kept.iter().map(|made| self.shared(cx, ec2, made))).await?;
        let mut done = Vec::new();
        let settled = join_all(kept.iter().map(|made| self.placed(cx, ec2, made))).await;
        let mut failure = None;
        for (made, settled) in kept.iter().zip(settled) {
            match settled {
                Ok(id) => done.push((made.region.clone(), id)),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => {
                kept.iter().for_each(|made| cx.forget(made.undo));
                Ok(done)
            }
            Some(error) => Err(error),
        }
    }

    async fn shared(&self, cx: &Cx, ec2: &Ec2, made: &Made) -> Result<()> {
        let there = ec2.in_region(&made.region);
        let image = image::available(cx, &there, &made.id, self.pace).await?;
        share(cx, &there, &image, &self.ami).await?;
        cx.interruptible(image::hand_over(&there, &image)).await
    }

    /// The image under its own name.
    async fn placed(&self, cx: &Cx, ec2: &Ec2, made: &Made) -> Result<String> {
        let Some(old) = self.names.old.get(&made.region) else { return Ok(made.id.clone()) };
        let there = ec2.in_region(&made.region);
        let with_snapshots = self.ami.force_delete_snapshot;
        let image = retire::replace(cx, &there, old, made, &self.label, with_snapshots, self.pace).await?;
        share(cx, &there, &image, &self.ami).await?;
        image::hand_over(&there, &image).await?;
        Ok(image.image_id.unwrap_or_default())
    }
}
