//! What AWS tells before anything is made: whose account it is, the source image, the network, and whether the
//! calls of the build would be allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bakehouse_api::{Cx, Error, Kind, Result, Template};
use bakehouse_kit::communicator::{CommKind, CommOptions};
use futures::future::try_join_all;

use crate::client::{ApiError, Ec2, Sessions};
use crate::network::{Network, given};
use crate::options::{AccessOptions, BlockDevice, RunOptions};
use crate::source_ami::SourceAmi;

/// The options that all builders have which start an instance.
pub struct Common<'a> {
    pub access: &'a AccessOptions,
    pub run: &'a RunOptions,
    /// Of the launch.
    pub devices: Vec<&'a BlockDevice>,
    /// Without the disks of the host that the source image maps.
    pub no_ephemeral: bool,
    pub comm: &'a CommOptions,
}

impl Common<'_> {
    pub fn reaches(&self) -> bool {
        self.comm.communicator == CommKind::Ssh
    }

    /// Does this build make a key pair for its login?
    pub fn makes_key(&self) -> bool {
        let ssh = &self.comm.ssh;
        self.reaches() && !ssh.has_credentials() && given(&ssh.ssh_keypair_name).is_none()
    }
}

pub struct Survey {
    pub ec2: Ec2,
    pub source: SourceAmi,
    pub network: Network,
}

impl Survey {
    pub async fn make(cx: &Cx, common: &Common<'_>, sessions: &Arc<Sessions>, session: &str) -> Result<Self> {
        let session = cx.interruptible(sessions.open(common.access, session)).await?;
        if !common.access.skip_credential_validation {
            cx.interruptible(session.account()).await?;
        }
        let region = session.place.region.clone();
        let ec2 = session.ec2(&region);
        let source = async {
            match (given(&common.run.source_ami), &common.run.source_ami_filter) {
                (Some(id), _) => SourceAmi::named(&ec2, &id).await,
                (None, Some(wanted)) => SourceAmi::find(&ec2, wanted).await,
                (None, None) => Err(Error::new(Kind::Internal, "a build without source image passed validation")),
            }
        };
        let work = async { tokio::try_join!(source, Network::find(&ec2, common.run)) };
        let (source, network) = cx.interruptible(work).await?;
        cx.message(format!("Found Image ID: {}", source.id));
        let survey = Self { ec2, source, network };
        cx.interruptible(survey.rehearse(common)).await?;
        Ok(survey)
    }

    /// Missing permissions show before anything is made, where EC2 knows them without doing the thing.
    async fn rehearse(&self, common: &Common<'_>) -> Result<()> {
        let api = &self.ec2.api;
        let instances = async {
            let Some(kind) = common.run.instance_types().into_iter().next() else { return Ok(()) };
            let request = api.run_instances().dry_run(true).image_id(&self.source.id).min_count(1).max_count(1);
            let request = request.instance_type(kind.as_str().into()).set_subnet_id(self.network.subnet.clone());
            let answer = request.send().await.map(drop).map_err(ApiError::from);
            self.ec2.rehearsed("asking whether an instance may be launched", answer).await
        };
        let group = async {
            if !self.network.groups.is_empty() {
                return Ok(());
            }
            let request = api.create_security_group().dry_run(true).group_name("bakehouse-rehearsal");
            let request = request.description("Never made").set_vpc_id(self.network.vpc.clone());
            let answer = request.send().await.map(drop).map_err(ApiError::from);
            self.ec2.rehearsed("asking whether a security group may be made", answer).await
        };
        let key = async {
            if !common.makes_key() {
                return Ok(());
            }
            let material = aws_sdk_ec2::primitives::Blob::new("ssh-ed25519 AAAA");
            let request = api.import_key_pair().dry_run(true).key_name("bakehouse-rehearsal");
            let answer = request.public_key_material(material).send().await.map(drop).map_err(ApiError::from);
            self.ec2.rehearsed("asking whether a key pair may be imported", answer).await
        };
        tokio::try_join!(instances, group, key).map(|_| ())
    }

    /// Tags with their `{{ .SourceAMI }}` filled in.
    pub fn render(&self, tags: &BTreeMap<String, Template>) -> Result<Vec<(String, String)>> {
        tags.iter().map(|(key, value)| Ok((key.clone(), self.text(value)?))).collect()
    }

    pub fn text(&self, template: &Template) -> Result<String> {
        let tags = self.source.tags.iter().map(|(key, value)| (format!("SourceAMITags.{key}"), value.as_str()));
        let tags: Vec<(String, &str)> = tags.collect();
        let tags = tags.iter().map(|(key, value)| (key.as_str(), *value));
        template.render(self.source.fields(&self.ec2.region).into_iter().chain(tags))
    }
}

/// Does the account have these regions?
pub async fn check_regions(ec2: &Ec2, regions: &[String]) -> Result<()> {
    if regions.is_empty() {
        return Ok(());
    }
    let answer = match ec2.api.describe_regions().send().await {
        Ok(answer) => answer,
        Err(error) => return Err(ec2.explain("asking for the account's regions", error).await),
    };
    let known: Vec<&str> = answer.regions().iter().filter_map(|region| region.region_name()).collect();
    match regions.iter().find(|region| !known.contains(&region.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Error::new(Kind::Config, format!("the account has no region `{unknown}`"))
            .hint(format!("it has {}; `skip_region_validation` leaves this out", known.join(", ")))),
    }
}

/// Would copies be allowed in these regions?
pub async fn rehearse_copies(ec2: &Ec2, source: &str, regions: &[String]) -> Result<()> {
    let rehearsals = regions.iter().map(|region| async move {
        let there = ec2.in_region(region);
        let request = there.api.copy_image().dry_run(true).name("bakehouse-rehearsal").source_image_id(source);
        let answer = request.source_region(&ec2.region).send().await.map(drop).map_err(ApiError::from);
        there.rehearsed(&format!("asking whether an image may be copied to {region}"), answer).await
    });
    try_join_all(rehearsals).await.map(|_| ())
}
