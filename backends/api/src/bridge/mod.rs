//! The bridge between disks of this machine and the images and objects of a cloud. A backend that has one hands it out
//! through the registry; commands and post-processors see this trait.

mod access;
mod export;
mod import;
mod object;

use crate::{Body, Cx, Diagnostics, Result, async_trait, options};

pub use access::{AccessOptions, AssumeRole, Polling, VaultEngine, WebIdentity};
pub use export::{Export, Exported};
pub use import::{Architecture, BootMode, Encryption, Import, Imported, ObjectEncryption, Platform, Via};
pub use object::{Current, Found, Object, Stored, Upload};

options! {
    /// Reaching AWS and its object store.
    pub struct AccountOptions {
        /// URL of another object store than the region's own.
        s3_endpoint: Option<String>,
        /// Write the bucket into the path of a URL instead of the host's name. Unset: for every endpoint that is not of
        /// amazonaws.com.
        s3_path_style: Option<bool>,
    }
    flatten { access: AccessOptions }
}

impl AccountOptions {
    /// As a template that says nothing of it.
    pub fn plain() -> Self {
        Self { s3_endpoint: None, s3_path_style: None, access: AccessOptions::plain(), spans: Default::default() }
    }
}

#[async_trait]
pub trait Bridge: Send + Sync {
    /// What of the account's options can be refused offline.
    fn check_account(&self, body: &Body, account: &AccountOptions, found: &mut Diagnostics);
    /// What of an import can be refused offline. Options are called as Packer's `amazon-import` calls them.
    fn check_import(&self, body: &Body, import: &Import, found: &mut Diagnostics);
    /// Makes an image of disks.
    async fn import(&self, cx: &Cx, account: &AccountOptions, import: &Import) -> Result<Imported>;
    /// Brings the disks of an image here.
    async fn export(&self, cx: &Cx, account: &AccountOptions, export: &Export) -> Result<Exported>;
    /// Puts a file into a bucket, in parts where it is large.
    async fn put(&self, cx: &Cx, account: &AccountOptions, upload: &Upload) -> Result<Stored>;
    /// Reads a small object; none when there is no such.
    async fn read(&self, cx: &Cx, account: &AccountOptions, object: &Object) -> Result<Option<Found>>;
    /// Writes a small object. False: it is not any more what `current` says, and stays as it is.
    async fn write(
        &self,
        cx: &Cx,
        account: &AccountOptions,
        object: &Object,
        content_type: &str,
        bytes: Vec<u8>,
        current: &Current,
    ) -> Result<bool>;
}
