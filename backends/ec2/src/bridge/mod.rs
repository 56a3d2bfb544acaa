//! The bridge: a disk of this machine becomes an image, an image becomes a disk of this machine.

mod export;

use std::sync::Arc;

use bakehouse_api::bridge::{
    AccountOptions, Bridge, Current, Export, Exported, Found, Import, Imported, Object, Stored, Upload,
};
use bakehouse_api::{Body, Cx, Diagnostics, Result, async_trait};

use crate::client::{Ec2, Sessions, Store};
use crate::network::given;

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
        if !account.access.skip_credential_validation {
            cx.interruptible(session.account()).await?;
        }
        let region = session.place.region.clone();
        Ok(session.ec2(&region))
    }
}
