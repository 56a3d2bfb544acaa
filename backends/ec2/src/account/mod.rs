//! What an account keeps: its images with what uses them, and what builds have left.

mod remains;
mod stock;
mod uses;

use std::sync::Arc;

use bakehouse_api::account::{Login, Remains, Removed, Stock, StoredImage, Wanted};
use bakehouse_api::{Account, Result, Undo, Undoer, async_trait};
use futures::future::try_join_all;

use crate::client::{Ec2, Session, Sessions};
use crate::held::Release;
use crate::options::AccessOptions;

const SESSION: &str = "account";

/// An account, which is logged in to once something is asked.
pub fn account(login: Login) -> Box<dyn Account> {
    Box::new(AwsAccount { login, sessions: Arc::default() })
}

struct AwsAccount {
    login: Login,
    sessions: Arc<Sessions>,
}

impl AwsAccount {
    async fn session(&self) -> Result<Arc<Session>> {
        let Login { profile, endpoint, regions } = self.login.clone();
        let region = regions.first().cloned();
        let access = AccessOptions { profile, custom_endpoint_ec2: endpoint, region, ..AccessOptions::plain() };
        self.sessions.open(&access, SESSION).await
    }

    async fn regions(&self) -> Result<Vec<Ec2>> {
        let session = self.session().await?;
        if self.login.regions.is_empty() {
            let region = session.place.region.clone();
            return Ok(vec![session.ec2(&region)]);
        }
        Ok(self.login.regions.iter().map(|region| session.clone().ec2(region)).collect())
    }
}

#[async_trait]
impl Account for AwsAccount {
    async fn images(&self, wanted: &Wanted) -> Result<Stock> {
        let regions = self.regions().await?;
        let mut all = Stock::default();
        for found in try_join_all(regions.iter().map(|ec2| stock::find(ec2, wanted))).await? {
            all.images.extend(found.images);
            all.blind.extend(found.blind);
        }
        Ok(all)
    }

    async fn remove(&self, image: &StoredImage) -> Result<Removed> {
        stock::remove(&self.session().await?.ec2(&image.region), image).await
    }

    async fn remains(&self) -> Result<(Vec<Remains>, Vec<String>)> {
        let regions = self.regions().await?;
        let mut all: Vec<Remains> = try_join_all(regions.iter().map(remains::of_region)).await?.concat();
        let mut blind = Vec::new();
        if let Some(ec2) = regions.first() {
            match remains::profiles(ec2).await {
                Ok(profiles) => all.extend(profiles),
                Err(error) => blind.push(format!("roles and instance profiles: {error}")),
            }
        }
        Ok((all, blind))
    }

    async fn undo(&self, undo: &Undo) -> Result<()> {
        Release { sessions: self.sessions.clone() }.undo(undo).await
    }
}
