//! The same image in other regions.

use bakehouse_api::{Cx, Error, Kind, Result};

use crate::client::{ApiError, Ec2, Pace, settled};
use crate::held::{Thing, acquire};
use crate::image::{self, Label, Made};
use crate::mark::token;

/// How a copy is encrypted: not, or with a key of its region, or with the account's own one there.
#[derive(Clone, Debug, PartialEq)]
pub enum Encryption {
    AsItIs,
    With(Option<String>),
}

/// `ec2` is of the region that it is copied to.
pub async fn copy(
    cx: &Cx,
    ec2: &Ec2,
    (from, id): (&str, &str),
    label: &Label,
    encryption: &Encryption,
    pace: Pace,
) -> Result<Made> {
    cx.say(format!("Copying AMI ({id}) to region {}", ec2.region));
    let token = token(cx);
    let mut request = ec2
        .api
        .copy_image()
        .source_region(from)
        .source_image_id(id)
        .name(&label.name)
        .set_description(label.description.clone())
        .client_token(&token)
        .set_tag_specifications(label.marked(&token).specifications());
    if let Encryption::With(key) = encryption {
        request = request.encrypted(true).set_kms_key_id(key.clone());
    }
    let thing = |made| Thing::Image { name: label.name.clone(), of: id.to_owned(), id: made };
    let doing = format!("copying {id} to {}", ec2.region);
    let (made, undo) = acquire(cx, ec2, &doing, thing(None), async {
        // The other region learns of the image a little later.
        let send = || {
            let request = request.clone();
            async move { request.send().await.map_err(ApiError::from) }
        };
        let made = settled(send).await?.image_id;
        Ok((made.clone(), thing(made)))
    })
    .await?;
    let made = made.ok_or_else(|| Error::new(Kind::Host, "AWS made a copy and did not say which"))?;
    let made = Made { id: made, region: ec2.region.clone(), undo };
    image::available(cx, ec2, &made.id, pace).await?;
    cx.message(format!("{}: {}", made.region, made.id));
    Ok(made)
}
