//! A new image takes the place of an old one of the same name. The new one is made under another name and is
//! available before the old one goes; names are unique and cannot be changed, so it is then registered again, of
//! the very same snapshots, under the name that is free now.

use aws_sdk_ec2::types::{Image, ImageState};
use bakehouse_api::{Cx, Error, Kind, Result};

use crate::client::{ApiError, Ec2, Pace};
use crate::copy::{Encryption, copy};
use crate::held::{Young, delete_snapshot};
use crate::image::{self, Label, Made, snapshots_of};
use crate::reregister;

/// How many characters a name may have.
const LONGEST: usize = 128;

/// A name that nobody else has, for an image whose own name is not free yet.
pub fn other_name(name: &str) -> String {
    let mark = format!("-{:08x}", rand::random::<u32>());
    let kept: String = name.chars().take(LONGEST - mark.len()).collect();
    kept + &mark
}

/// From here on the new image is the user's, whatever happens: the old one is gone.
pub async fn replace(
    cx: &Cx,
    ec2: &Ec2,
    old: &Image,
    new: &Made,
    label: &Label,
    with_snapshots: bool,
    pace: Pace,
) -> Result<Image> {
    let old_id = old.image_id().unwrap_or_default();
    let staged = image::available(cx, ec2, &new.id, pace).await?;
    cx.say(format!("Deregistering the old AMI {old_id} in {}: {} takes its place", ec2.region, new.id));
    cx.forget(new.undo);
    let kept = |error: Error| {
        error.context(format!("giving {} the name `{}` in {}", new.id, label.name, ec2.region)).hint(format!(
            "the new image stays as {} under the name `{}`",
            new.id,
            staged.name().unwrap_or_default()
        ))
    };
    image::remove(ec2, old_id, with_snapshots, Young::NOT).await.map_err(kept)?;
    let renamed = if reregister::is_plain(&staged) {
        register(ec2, &staged, label).await
    } else {
        by_copy(cx, ec2, &staged, label, pace).await
    };
    let renamed = renamed.map_err(kept)?;
    image::available(cx, ec2, &renamed, pace).await.map_err(kept)
}

/// Of the same snapshots.
async fn register(ec2: &Ec2, staged: &Image, label: &Label) -> Result<String> {
    let request = reregister::request(ec2, staged, label).await;
    let made = match request.send().await {
        Ok(answer) => answer.image_id,
        Err(error) => return Err(ec2.explain(format!("registering {}", label.name), error).await),
    };
    let made = made.ok_or_else(|| Error::new(Kind::Host, "AWS registered an image and did not say which"))?;
    image::remove(ec2, staged.image_id().unwrap_or_default(), false, Young::NOT).await?;
    Ok(made)
}

async fn by_copy(cx: &Cx, ec2: &Ec2, staged: &Image, label: &Label, pace: Pace) -> Result<String> {
    let id = staged.image_id().unwrap_or_default();
    let made = copy(cx, ec2, (&ec2.region, id), label, &Encryption::AsItIs, pace).await?;
    cx.forget(made.undo);
    image::remove(ec2, id, false, Young::NOT).await?;
    for snapshot in snapshots_of(staged) {
        delete_snapshot(ec2, &snapshot, Young::NOT).await?;
    }
    Ok(made.id)
}

/// The image that has the name already, if any.
pub async fn holder(ec2: &Ec2, name: &str) -> Result<Option<Image>, ApiError> {
    let found = crate::source_ami::mine(ec2, name).await?;
    Ok(found.filter(|image| image.state() != Some(&ImageState::Deregistered)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_name_is_valid_and_of_its_own() {
        let name = other_name(&"n".repeat(128));
        assert_eq!(name.len(), LONGEST);
        assert!(other_name("web").starts_with("web-"));
        assert_ne!(other_name("web"), other_name("web"));
    }
}
