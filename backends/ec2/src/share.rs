//! Who may use an image and its snapshots, until when, and how it is protected.

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{
    AttributeValue, CreateVolumePermission, CreateVolumePermissionModifications, Image, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};
use bakehouse_api::{Cx, Error, Kind, Result};

use crate::client::{ApiError, Ec2};
use crate::image::snapshots_of;
use crate::options::AmiOptions;
use crate::options::ami::ImdsSupport;

/// Sets everything that an image can only be given once it is there.
pub async fn share(cx: &Cx, ec2: &Ec2, image: &Image, options: &AmiOptions) -> Result<()> {
    let id = image.image_id().unwrap_or_default();
    let work = async {
        let set = Setting { ec2, id, options };
        set.permissions(cx).await?;
        set.product_codes().await?;
        set.imds().await?;
        set.deprecation(cx).await?;
        set.protection().await?;
        for snapshot in snapshots_of(image) {
            share_snapshot(ec2, &snapshot, &options.snapshot_users, &options.snapshot_groups).await?;
        }
        Ok(())
    };
    cx.interruptible(work).await
}

struct Setting<'a> {
    ec2: &'a Ec2,
    id: &'a str,
    options: &'a AmiOptions,
}

impl Setting<'_> {
    async fn done<T>(&self, what: &str, answer: Result<T, impl Into<ApiError>>) -> Result<()> {
        match answer {
            Ok(_) => Ok(()),
            Err(error) => {
                let doing = format!("setting {what} of {} in {}", self.id, self.ec2.region);
                Err(self.ec2.explain(doing, error).await)
            }
        }
    }

    async fn permissions(&self, cx: &Cx) -> Result<()> {
        let permissions = launch_permissions(self.options);
        if permissions.is_empty() {
            return Ok(());
        }
        cx.message(format!("Setting who may launch {} in {}", self.id, self.ec2.region));
        let added = LaunchPermissionModifications::builder().set_add(Some(permissions)).build();
        let request = self.ec2.api.modify_image_attribute().image_id(self.id).launch_permission(added);
        self.done("the launch permissions", request.send().await).await
    }

    async fn product_codes(&self) -> Result<()> {
        let codes = self.options.ami_product_codes.clone();
        if codes.is_empty() {
            return Ok(());
        }
        let request = self.ec2.api.modify_image_attribute().image_id(self.id).attribute("productCodes");
        self.done("the product codes", request.set_product_codes(Some(codes)).send().await).await
    }

    async fn imds(&self) -> Result<()> {
        if self.options.imds_support != ImdsSupport::V2 {
            return Ok(());
        }
        let value = AttributeValue::builder().value(ImdsSupport::V2.as_str()).build();
        let request = self.ec2.api.modify_image_attribute().image_id(self.id).imds_support(value);
        self.done("imds_support", request.send().await).await
    }

    async fn deprecation(&self, cx: &Cx) -> Result<()> {
        let Some(at) = self.options.deprecate_at.as_deref().filter(|at| !at.is_empty()) else { return Ok(()) };
        cx.message(format!("Deprecating {} in {} from {at} on", self.id, self.ec2.region));
        let when = instant(at).map_err(|reason| Error::new(Kind::Config, reason))?;
        let request = self.ec2.api.enable_image_deprecation().image_id(self.id).deprecate_at(when);
        self.done("the deprecation", request.send().await).await
    }

    async fn protection(&self) -> Result<()> {
        let Some(asked) = self.options.deregistration_protection.as_ref().filter(|asked| asked.enabled) else {
            return Ok(());
        };
        let request = self.ec2.api.enable_image_deregistration_protection().image_id(self.id);
        let request = request.with_cooldown(asked.with_cooldown);
        self.done("the deregistration protection", request.send().await).await
    }
}

/// Who may make volumes of a snapshot.
pub async fn share_snapshot(ec2: &Ec2, snapshot: &str, users: &[String], groups: &[String]) -> Result<()> {
    let permissions = volume_permissions(users, groups);
    if permissions.is_empty() {
        return Ok(());
    }
    let added = CreateVolumePermissionModifications::builder().set_add(Some(permissions)).build();
    let request = ec2.api.modify_snapshot_attribute().snapshot_id(snapshot);
    let request = request.attribute(SnapshotAttributeName::CreateVolumePermission).create_volume_permission(added);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => Err(ec2.explain(format!("setting who may use the snapshot {snapshot}"), error).await),
    }
}

/// RFC 3339; EC2 rounds it to the minute.
pub fn instant(text: &str) -> Result<DateTime, String> {
    DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset)
        .map_err(|_| format!("`{text}` is not a time like 2026-01-31T00:00:00Z"))
}

fn launch_permissions(options: &AmiOptions) -> Vec<LaunchPermission> {
    let new = LaunchPermission::builder;
    let users = options.ami_users.iter().map(|user| new().user_id(user).build());
    let groups = options.ami_groups.iter().map(|group| new().group(PermissionGroup::from(group.as_str())).build());
    let orgs = options.ami_org_arns.iter().map(|arn| new().organization_arn(arn).build());
    let units = options.ami_ou_arns.iter().map(|arn| new().organizational_unit_arn(arn).build());
    users.chain(groups).chain(orgs).chain(units).collect()
}

fn volume_permissions(users: &[String], groups: &[String]) -> Vec<CreateVolumePermission> {
    let new = CreateVolumePermission::builder;
    let users = users.iter().map(|user| new().user_id(user).build());
    let groups = groups.iter().map(|group| new().group(PermissionGroup::from(group.as_str())).build());
    users.chain(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ami_options;

    #[test]
    fn everybody_who_is_named_may_launch_it() {
        let mut options = ami_options();
        assert!(launch_permissions(&options).is_empty());
        options.ami_users = vec!["123456789012".into()];
        options.ami_groups = vec!["all".into()];
        options.ami_org_arns = vec!["arn:aws:organizations::1:organization/o-1".into()];
        let made = launch_permissions(&options);
        assert_eq!(made[0].user_id(), Some("123456789012"));
        assert_eq!(made[1].group(), Some(&PermissionGroup::All));
        assert!(made[2].organization_arn().is_some());
    }

    #[test]
    fn a_time_needs_its_zone() {
        assert!(instant("2026-01-31T00:00:00Z").is_ok() && instant("2026-01-31T00:00:00+02:00").is_ok());
        assert!(instant("2026-01-31").is_err());
    }
}
