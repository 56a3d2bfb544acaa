//! The bridge: a disk of this machine becomes an image, an image becomes a disk of this machine.

mod blocks;
mod bucket;
mod direct;
mod export;
mod export_task;
mod fetch;
mod import;
mod lanes;
mod layout;
mod ledger;
mod meter;
mod parent;
mod parts;
mod reader;
mod received;
mod register;
mod small;
mod store;
mod task;
pub mod undo;

use std::sync::Arc;

use bakehouse_api::bridge::{
    AccountOptions, Bridge, Current, Export, Exported, Found, Import, Imported, Object, Stored, Upload,
};
use bakehouse_api::{Body, Cx, Diagnostics, Result, async_trait};

use bakehouse_kit::disks as source;
pub use import::{ami_options, choose};

use crate::check::Check;
use crate::client::{Ec2, Sessions, Store};
use crate::network::given;
use ledger::FileState;
use parts::Input;
use store::Cargo;

/// What others see of it.
pub fn bridge() -> Arc<dyn Bridge> {
    Arc::new(Crossing { sessions: Sessions::of_process() })
}

struct Crossing {
    sessions: Arc<Sessions>,
}

impl Crossing {
    /// A login of its own for each crossing, whose undos find it by its id.
    async fn enter(&self, cx: &Cx, account: &AccountOptions) -> Result<Ec2> {
        let from_env = || cx.settings().env.get("AWS_ENDPOINT_URL_S3").cloned();
        let endpoint = given(&account.s3_endpoint).or_else(|| given(&from_env()));
        let store = Store { endpoint, path_style: account.s3_path_style };
        let id = uuid::Uuid::new_v4().to_string();
        let session = cx.interruptible(self.sessions.open_with_store(&account.access, store, &id)).await?;
        let region = session.place.region.clone();
        Ok(session.ec2(&region))
    }

    /// Where the bucket is.
    async fn beside(&self, cx: &Cx, account: &AccountOptions, bucket: &str) -> Result<Ec2> {
        let ec2 = self.enter(cx, account).await?;
        cx.interruptible(store::beside(&ec2, bucket)).await
    }
}

#[async_trait]
impl Bridge for Crossing {
    fn check_account(&self, body: &Body, account: &AccountOptions, found: &mut Diagnostics) {
        let mut check = Check::new(body, found);
        check.access(&account.access);
        check.store(account);
    }

    fn check_import(&self, body: &Body, import: &Import, found: &mut Diagnostics) {
        Check::new(body, found).import(import);
    }

    async fn import(&self, cx: &Cx, account: &AccountOptions, import: &Import) -> Result<Imported> {
        let ec2 = self.enter(cx, account).await?;
        import::import(cx, &ec2, account, import).await
    }

    async fn export(&self, cx: &Cx, account: &AccountOptions, export: &Export) -> Result<Exported> {
        let ec2 = self.enter(cx, account).await?;
        export::export(cx, &ec2, export).await
    }

    async fn put(&self, cx: &Cx, account: &AccountOptions, upload: &Upload) -> Result<Stored> {
        let ec2 = self.beside(cx, account, &upload.object.bucket).await?;
        let cargo = Cargo {
            input: Input::File(upload.file.clone()),
            state: FileState::of(&upload.file, 0)?,
            token: None,
            lanes: store::LANES,
        };
        Ok(cx.interruptible(store::put(cx, &ec2, upload, true, cargo)).await?.stored)
    }

    async fn read(&self, cx: &Cx, account: &AccountOptions, object: &Object) -> Result<Option<Found>> {
        let ec2 = self.beside(cx, account, &object.bucket).await?;
        cx.interruptible(small::read(&ec2, object)).await
    }

    async fn write(
        &self,
        cx: &Cx,
        account: &AccountOptions,
        object: &Object,
        content_type: &str,
        bytes: Vec<u8>,
        current: &Current,
    ) -> Result<bool> {
        let ec2 = self.beside(cx, account, &object.bucket).await?;
        cx.interruptible(small::write(&ec2, object, content_type, bytes, current)).await
    }
}
