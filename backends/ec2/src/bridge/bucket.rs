//! The ways through a bucket: the disk is put there, Amazon's service fetches it, and the object goes again.

use std::path::PathBuf;

use aws_sdk_ec2::types::{ImageDiskContainer, ResourceType, SnapshotDiskContainer, Tag, TagSpecification, UserBucket};
use bakehouse_api::bridge::{BootMode, Import, Object, Platform, Stored, Upload};
use bakehouse_api::{Cx, Error, Kind, Result, UndoId};
use bakehouse_boxes::disk;
use bakehouse_kit::process::Program;
use futures::future::try_join_all;

use super::layout::Layout;
use super::ledger::FileState;
use super::parts::Input;
use super::register;
use super::source::Source;
use super::store::{self, Cargo};
use super::task;
use crate::client::{ApiError, Ec2, Pace, tagged, token};
use crate::copy::{Encryption, copy};
use crate::held::{self, RUN_TAG, Thing, Young, acquire};
use crate::image::{self, Label, Made, snapshots_of};
use crate::reregister;
use crate::volumes::Shot;

/// Everything that both ways need.
pub struct Errand<'a> {
    pub ec2: &'a Ec2,
    pub import: &'a Import,
    pub sources: &'a [Source],
    pub label: &'a Label,
    pub layout: &'a Layout,
    pub pace: Pace,
    pub lanes: usize,
}

/// A disk that lies in the bucket.
struct Lying {
    stored: Stored,
    /// As EC2 calls it.
    format: String,
    undo: Option<UndoId>,
}

impl Errand<'_> {
    /// Snapshots, imported as the disks are.
    pub async fn snapshots(&self, cx: &Cx) -> Result<(Vec<Shot>, u64)> {
        self.need_bucket(cx).await?;
        let mut shots = Vec::new();
        let mut sent = 0;
        for source in self.sources {
            let lying = self.put(cx, source).await?;
            sent += lying.stored.bytes;
            shots.push(self.import_snapshot(cx, &lying).await?);
            self.clear(cx, lying).await?;
        }
        Ok((shots, sent))
    }

    /// An image, made by the service, which edits the guest, under our name.
    pub async fn image(&self, cx: &Cx) -> Result<(Made, u64)> {
        self.need_bucket(cx).await?;
        let mut lying = Vec::new();
        if self.format() == "ova" {
            let origin = self.sources[0].origin.clone();
            lying.push(self.put_input(cx, &self.sources[0], Input::File(origin), "ova").await?);
        } else {
            for source in self.sources {
                lying.push(self.put(cx, source).await?);
            }
        }
        let sent = lying.iter().map(|lying| lying.stored.bytes).sum();
        let staged = self.import_image(cx, &lying).await?;
        for lying in lying {
            self.clear(cx, lying).await?;
        }
        Ok((self.named(cx, staged).await?, sent))
    }

    fn format(&self) -> &str {
        self.import.format.as_deref().filter(|format| !format.is_empty()).unwrap_or("vmdk")
    }

    fn bucket(&self) -> &str {
        self.import.bucket.as_deref().unwrap_or_default()
    }

    async fn need_bucket(&self, cx: &Cx) -> Result<()> {
        let bucket = self.bucket();
        if bucket.is_empty() {
            return Err(
                Error::new(Kind::Config, "this way needs a bucket: `s3_bucket_name`").hint("`ebs-direct` needs none")
            );
        }
        let region = cx.interruptible(store::region_of(self.ec2, bucket)).await?;
        match region.filter(|region| *region != self.ec2.region) {
            None => Ok(()),
            Some(region) => {
                let here = &self.ec2.region;
                let error = format!("the bucket `{bucket}` is in {region}, and the import runs in {here}");
                Err(Error::new(Kind::Config, error)
                    .hint(format!("take a bucket of {here}, or import in {region} and copy the image: `ami_regions`")))
            }
        }
    }

    async fn put(&self, cx: &Cx, source: &Source) -> Result<Lying> {
        let format = self.format();
        let input = match format {
            "vmdk" => Input::Vmdk(source.path.clone(), "disk.vmdk".into()),
            "raw" if disk::format(&source.path)? == disk::Format::Raw => Input::File(source.path.clone()),
            "raw" => Input::File(converted(cx, source, "raw", &[]).await?),
            "vhd" => {
                let exact = "subformat=dynamic,force_size=on";
                Input::File(converted(cx, source, "vpc", &["-o", exact]).await?)
            }
            "vhdx" => Input::File(converted(cx, source, "vhdx", &["-o", "subformat=dynamic"]).await?),
            other => {
                return Err(Error::new(Kind::Config, format!("`{other}` is no format that a disk is imported from"))
                    .hint("raw, vmdk, vhd, or vhdx; ova for an OVA as it is"));
            }
        };
        self.put_input(cx, source, input, format).await
    }

    async fn put_input(&self, cx: &Cx, source: &Source, input: Input, format: &str) -> Result<Lying> {
        let token = token(cx);
        let fixed = self.import.key.as_ref().filter(|key| !key.is_empty());
        let key = match (fixed, source.number) {
            (Some(key), 0) => key.clone(),
            (Some(key), number) => format!("{key}-{}", number + 1),
            (None, _) => format!("bakehouse-import-{token}.{format}"),
        };
        let object = Object { bucket: self.bucket().to_owned(), key };
        let mut upload = Upload::new(source.origin.clone(), object);
        upload.encryption = self.import.object_encryption;
        upload.encryption_key = self.import.object_key.clone().filter(|key| !key.is_empty());
        cx.say(format!("Uploading {} to {}", source.label(), upload.object));
        let state = FileState::of(&source.origin, source.number)?;
        let cargo = Cargo { input, state, token: Some(token), lanes: self.lanes };
        let put = cx.interruptible(store::put(cx, self.ec2, &upload, fixed.is_some(), cargo)).await?;
        Ok(Lying { stored: put.stored, format: format.to_uppercase(), undo: put.undo })
    }

    /// The object has served its purpose.
    async fn clear(&self, cx: &Cx, lying: Lying) -> Result<()> {
        let Some(undo) = lying.undo else { return Ok(()) };
        if self.import.keep_object {
            cx.forget(undo);
            return Ok(());
        }
        cx.message(format!("Removing {}", lying.stored.object));
        cx.release(undo).await
    }

    fn key(&self) -> Option<String> {
        self.import.encryption.as_ref().and_then(|encryption| encryption.key.clone()).filter(|key| !key.is_empty())
    }

    fn role(&self) -> Option<String> {
        self.import.role.clone().filter(|role| !role.is_empty())
    }

    async fn import_snapshot(&self, cx: &Cx, lying: &Lying) -> Result<Shot> {
        let ec2 = self.ec2;
        let token = token(cx);
        let container = SnapshotDiskContainer::builder()
            .description(&self.label.name)
            .format(&lying.format)
            .user_bucket(place(&lying.stored.object));
        let encrypted = self.import.encryption.is_some();
        let request = ec2
            .api
            .import_snapshot()
            .description(&self.label.name)
            .disk_container(container.build())
            .client_token(&token)
            .encrypted(encrypted)
            .set_kms_key_id(self.key())
            .set_role_name(self.role())
            .set_tag_specifications(marked(ResourceType::ImportSnapshotTask, &token));
        let thing = |id| Thing::Task { token: token.clone(), id };
        let doing = format!("importing {}", lying.stored.object);
        let begun = acquire(cx, ec2, &doing, thing(None), async {
            let id = request.send().await.map_err(ApiError::from)?.import_task_id;
            Ok((id.clone(), thing(id)))
        });
        let (id, task) = begun.await.map_err(explained)?;
        let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS began an import and did not say which"))?;
        let made = task::ended(cx, ec2, &id).await?;
        let snapshot = made.snapshots.into_iter().next();
        let snapshot = snapshot.ok_or_else(|| Error::new(Kind::Host, format!("{id} completed without a snapshot")))?;
        let undo = cx.hold(held::undo(ec2, &Thing::Snapshot { token, id: Some(snapshot.clone()) }, true))?;
        cx.forget(task);
        self.tag(&snapshot).await?;
        cx.message(format!("Snapshot: {snapshot}"));
        Ok(Shot { id: snapshot, undo })
    }

    /// The service tags its tasks at once, and what they make not at all.
    async fn tag(&self, snapshot: &str) -> Result<()> {
        if self.label.snapshot_tags.is_empty() {
            return Ok(());
        }
        let tags = self.label.snapshot_tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let request = self.ec2.api.create_tags().resources(snapshot).set_tags(Some(tags.collect()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.ec2.explain(format!("tagging {snapshot}"), error).await),
        }
    }

    async fn import_image(&self, cx: &Cx, lying: &[Lying]) -> Result<Staged> {
        let ec2 = self.ec2;
        let token = token(cx);
        let container = |lying: &Lying| {
            let container = ImageDiskContainer::builder().description(&self.label.name).format(&lying.format);
            container.user_bucket(place(&lying.stored.object)).build()
        };
        let platform = self.import.platform.map(|platform| match platform {
            Platform::Linux => "Linux".to_owned(),
            Platform::Windows => "Windows".to_owned(),
        });
        let mode = self.import.boot_mode.filter(|mode| *mode != BootMode::Unset);
        let request = ec2
            .api
            .import_image()
            .description(&self.label.name)
            .set_disk_containers(Some(lying.iter().map(container).collect()))
            .client_token(&token)
            .architecture(self.layout.architecture.as_str())
            .set_boot_mode(mode.map(|mode| mode.as_str().into()))
            .encrypted(self.import.encryption.is_some())
            .set_kms_key_id(self.key())
            .set_license_type(self.import.license.clone().filter(|license| !license.is_empty()))
            .set_platform(platform)
            .set_role_name(self.role())
            .set_tag_specifications(marked(ResourceType::ImportImageTask, &token));
        let thing = |id| Thing::Task { token: token.clone(), id };
        let begun = acquire(cx, ec2, "importing the image", thing(None), async {
            let id = request.send().await.map_err(ApiError::from)?.import_task_id;
            Ok((id.clone(), thing(id)))
        });
        let (id, task) = begun.await.map_err(explained)?;
        let id = id.ok_or_else(|| Error::new(Kind::Host, "AWS began an import and did not say which"))?;
        let made = task::ended(cx, ec2, &id).await?;
        let image = made.image.ok_or_else(|| Error::new(Kind::Host, format!("{id} completed without an image")))?;
        // In this order: the image goes before the snapshots that it holds.
        let hold = |thing: Thing| cx.hold(held::undo(ec2, &thing, true));
        let shot = |id: String| {
            let undo = hold(Thing::Snapshot { token: token.clone(), id: Some(id.clone()) })?;
            Ok(Shot { id, undo })
        };
        let shots = made.snapshots.into_iter().map(shot).collect::<Result<Vec<Shot>>>()?;
        let undo = hold(Thing::Image { name: image.clone(), of: String::new(), id: Some(image.clone()) })?;
        cx.forget(task);
        Ok(Staged { made: Made { id: image, region: ec2.region.clone(), undo }, shots })
    }

    /// The service calls its image after the task, and names cannot be changed. A Linux image is therefore registered
    /// again of the same snapshots, which takes seconds and copies nothing. Of Windows and of what else is billed,
    /// only a copy takes the billing over.
    async fn named(&self, cx: &Cx, staged: Staged) -> Result<Made> {
        let ec2 = self.ec2;
        let image = image::available(cx, ec2, &staged.made.id, self.pace).await?;
        if !reregister::is_plain(&image) {
            cx.message("Copying the image: its name cannot be changed, and its billing goes with copies only");
            let from = (ec2.region.as_str(), staged.made.id.as_str());
            let made = copy(cx, ec2, from, self.label, &Encryption::AsItIs, self.pace).await?;
            cx.release(staged.made.undo).await?;
            staged.shots.iter().for_each(|shot| cx.forget(shot.undo));
            return Ok(made);
        }
        let mut shots = staged.shots;
        // Devices in the order of the image, whatever the order of the task's list.
        let order = snapshots_of(&image);
        shots.sort_by_key(|shot| order.iter().position(|id| *id == shot.id));
        try_join_all(shots.iter().map(|shot| self.tag(&shot.id))).await?;
        let uefi = reregister::uefi_data(ec2, &staged.made.id).await;
        image::remove(ec2, &staged.made.id, false, Young::NOT).await?;
        cx.forget(staged.made.undo);
        let mut request = register::described(ec2, self.label, self.import, self.layout)
            .set_root_device_name(image.root_device_name().map(str::to_owned))
            .set_uefi_data(uefi)
            .set_block_device_mappings(Some(image.block_device_mappings().iter().map(reregister::again).collect()));
        // The service may have made the guest boot otherwise than the disk did.
        if self.import.boot_mode.is_none() {
            request = request.set_boot_mode(image.boot_mode().cloned());
        }
        register::send(cx, ec2, self.label, request, &shots).await
    }
}

/// The image as the service made it.
struct Staged {
    made: Made,
    shots: Vec<Shot>,
}

fn place(object: &Object) -> UserBucket {
    UserBucket::builder().s3_bucket(&object.bucket).s3_key(&object.key).build()
}

fn marked(kind: ResourceType, token: &str) -> Option<Vec<TagSpecification>> {
    let tags = [(RUN_TAG.to_owned(), token.to_owned())];
    tagged([(kind, tags.as_slice())])
}

async fn converted(cx: &Cx, source: &Source, format: &str, options: &[&str]) -> Result<PathBuf> {
    let target = cx.temp().join(format!("object-{}.{format}", uuid::Uuid::new_v4().simple()));
    let from = match disk::format(&source.path)? {
        disk::Format::Qcow2 => "qcow2",
        disk::Format::Raw => "raw",
    };
    let convert = Program::new("qemu-img").args(["convert", "-f", from, "-O", format]).args(options.iter().copied());
    convert.arg(&source.path).arg(&target).check(cx).await?;
    Ok(target)
}

/// The refusals that everybody meets once.
pub fn explained(error: Error) -> Error {
    let message = error.message().to_lowercase();
    match () {
        () if message.contains("service role") || message.contains("vmimport") => error.hint(
            "make the role once: docs/guides/aws.md has the commands; or take `ebs-direct`, which needs neither role nor bucket",
        ),
        () if message.contains("not local to the region") => {
            error.hint("take a bucket of the region of the import, or import where the bucket is")
        }
        () => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_role_says_what_to_do() {
        let error = Error::new(
            Kind::Input,
            "The service role vmimport provided does not exist or does not have sufficient permissions",
        );
        assert!(explained(error).hints()[0].contains("docs/guides/aws.md"));
        assert!(explained(Error::new(Kind::Input, "x")).hints().is_empty());
    }
}
