//! An instance as a machine of the engine, and the way from nothing to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::types::InstanceStateName;
use bakehouse_api::event::OutputStream;
use bakehouse_api::{Artifact, Connector, Cx, Error, Facts, Guest, Kind, Machine, Result, UndoId, Value, async_trait};
use bakehouse_kit::process::Running;
use bakehouse_kit::ssh::{GeneratedKey, SshConnector, Target};
use tokio::time::sleep;

use crate::client::{ApiError, Ec2, Pace, Reason};
use crate::launch::{self, Launch, LaunchTags};
use crate::mark::{RUN_TAG, token};
use crate::network::given;
use crate::options::run::SshInterface;
use crate::options::tags;
use crate::survey::{Common, Survey};
use crate::{instance, key_pair, profile, security_group, session_manager};

/// How often an instance is looked at while its guest is awaited.
const WATCH: Duration = Duration::from_secs(10);
/// Of the console, in the output of a build that never reached its guest.
const LAST_LINES: usize = 25;
/// What people's policies and scripts know instances of builds by.
const NAME: &str = "Packer Builder";

/// What is made of the instance once it is off.
#[async_trait]
pub trait Harvest: Send + Sync {
    async fn capture(self: Box<Self>, cx: &Cx, off: Off) -> Result<Artifact>;
}

/// An instance that is provisioned, and off unless it is a spot instance.
pub struct Off {
    pub ec2: Ec2,
    pub instance: String,
    pub undo: UndoId,
}

impl Off {
    /// Nothing needs it any more.
    pub async fn terminate(&self, cx: &Cx) -> Result<()> {
        cx.say("Terminating the source AWS instance...");
        cx.release(self.undo).await
    }
}

pub struct Ec2Machine {
    ec2: Ec2,
    instance: String,
    undo: UndoId,
    pace: Pace,
    facts: Facts,
    connector: Option<Arc<dyn Connector>>,
    /// Serves the port of a session while the machine runs.
    _tunnel: Option<Running>,
    reached: bool,
    harvest: Box<dyn Harvest>,
}

pub async fn start(
    cx: &Cx,
    survey: &Survey,
    common: &Common<'_>,
    encryption: Option<Option<&str>>,
    harvest: Box<dyn Harvest>,
) -> Result<Ec2Machine> {
    let ec2 = &survey.ec2;
    let token = token(cx);
    let marked = |mut tags: Vec<(String, String)>| {
        tags.push((RUN_TAG.to_owned(), token.clone()));
        tags
    };
    let run = common.run;
    let run_tags = survey.render(&tags(&run.run_tags, &run.run_tag))?;
    let own_tags = marked(run_tags.clone());
    let groups = groups(cx, survey, common, &token, &own_tags).await?;
    let profile = match &run.temporary_iam_instance_profile_policy_document {
        Some(policy) => {
            Some(profile::create(cx, ec2, &format!("{}{token}", profile::PREFIX), policy, &own_tags).await?)
        }
        None => given(&run.iam_instance_profile),
    };
    let pair = match common.makes_key() {
        true => {
            let name = given(&common.comm.ssh.temporary_key_pair_name).unwrap_or_else(|| format!("packer_{token}"));
            Some(key_pair::create(cx, ec2, &common.comm.ssh, &name, &own_tags).await?)
        }
        false => None,
    };
    let mut instance_tags = own_tags.clone();
    if !instance_tags.iter().any(|(key, _)| key == "Name") {
        instance_tags.push(("Name".into(), NAME.into()));
    }
    let mut devices = launch::mappings(&common.devices, &survey.source, encryption);
    if common.no_ephemeral {
        launch::without_ephemeral(&mut devices);
    }
    let launch = Launch {
        run,
        devices,
        source: &survey.source,
        network: &survey.network,
        groups,
        key_name: pair.as_ref().map(|pair| pair.name.clone()).or_else(|| given(&common.comm.ssh.ssh_keypair_name)),
        profile,
        user_data: user_data(common)?,
        tags: LaunchTags {
            instance: instance_tags,
            volumes: marked(survey.render(&tags(&run.run_volume_tags, &run.run_volume_tag))?),
            network_interface: own_tags,
            spot: survey.render(&tags(&run.spot_tags, &run.spot_tag))?,
        },
        token: token.clone(),
    };
    cx.say(if run.is_spot() { "Requesting a spot instance..." } else { "Launching a source AWS instance..." });
    let (id, undo) = instance::launch(cx, ec2, &launch).await?;
    cx.message(format!("Instance ID: {id}"));
    cx.say(format!("Waiting for instance ({id}) to become ready..."));
    let pace = Pace::instance(common.access.aws_polling.as_ref());
    let running = instance::running(cx, ec2, &id, pace).await?;
    let (connector, tunnel) = match common.reaches() {
        false => (None, None),
        true => {
            let host = instance::located(cx, ec2, running, run.ssh_interface).await?;
            let (connector, tunnel) = connector(cx, survey, common, &id, host, pair.map(|pair| pair.key)).await?;
            (Some(connector), tunnel)
        }
    };
    let mut facts = survey.source.facts(&ec2.region);
    facts.insert("ID".into(), Value::from(id.as_str()));
    Ok(Ec2Machine {
        ec2: ec2.clone(),
        instance: id,
        undo,
        pace,
        facts,
        connector,
        _tunnel: tunnel,
        reached: false,
        harvest,
    })
}

async fn groups(
    cx: &Cx,
    survey: &Survey,
    common: &Common<'_>,
    token: &str,
    tags: &[(String, String)],
) -> Result<Vec<String>> {
    if !survey.network.groups.is_empty() {
        return Ok(survey.network.groups.clone());
    }
    let ssh = &common.comm.ssh;
    let indirect = ssh.bastion_host().is_some() || ssh.proxy_host().is_some();
    let callers = match common.reaches() {
        true => security_group::callers(common.run, survey.ec2.session.is_loopback(), indirect),
        false => security_group::Callers::Nobody,
    };
    let callers = security_group::addresses(cx, callers).await?;
    let (name, vpc) = (format!("packer_{token}"), survey.network.vpc.as_deref());
    Ok(vec![security_group::create(cx, &survey.ec2, &name, vpc, ssh.ssh_port, &callers, tags).await?])
}

fn user_data(common: &Common<'_>) -> Result<Option<Vec<u8>>> {
    if let Some(text) = given(&common.run.user_data) {
        return Ok(Some(text.into_bytes()));
    }
    let file = common.run.user_data_file.as_ref().filter(|path| !path.as_os_str().is_empty());
    file.map(|path| std::fs::read(path).map_err(|error| Error::io(format!("reading {}", path.display()), &error)))
        .transpose()
}

async fn connector(
    cx: &Cx,
    survey: &Survey,
    common: &Common<'_>,
    id: &str,
    host: String,
    generated_key: Option<GeneratedKey>,
) -> Result<(Arc<dyn Connector>, Option<Running>)> {
    let ssh = common.comm.ssh.clone();
    let mut target = Target {
        host: given(&ssh.ssh_host).unwrap_or(host),
        port: ssh.ssh_port,
        generated_key,
        known_host_keys: Vec::new(),
    };
    let mut tunnel = None;
    if common.run.ssh_interface == SshInterface::SessionManager {
        let (port, running) = session_manager::open(cx, &survey.ec2, common.run, id, ssh.ssh_port).await?;
        (target.host, target.port, tunnel) = ("127.0.0.1".to_owned(), port, Some(running));
    }
    Ok((Arc::new(SshConnector::new(ssh, target)), tunnel))
}

#[async_trait]
impl Machine for Ec2Machine {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    async fn connector(&mut self, _cx: &Cx) -> Result<Option<Arc<dyn Connector>>> {
        Ok(self.connector.clone())
    }

    async fn connected(&mut self, _cx: &Cx, _guest: &Guest) -> Result<()> {
        self.reached = true;
        Ok(())
    }

    async fn gone(&mut self, _cx: &Cx) -> Error {
        loop {
            sleep(WATCH).await;
            match instance::describe(&self.ec2, &self.instance).await {
                Ok(instance) => match instance::state(&instance) {
                    Some(InstanceStateName::Pending | InstanceStateName::Running) | None => {}
                    Some(state) => return instance::went(&self.instance, state, &instance),
                },
                Err(error) if error.is(Reason::NotFound) => {
                    return Error::new(Kind::Guest, format!("the instance {} is gone", self.instance));
                }
                // The communicator's own deadline ends a wait that nobody can look into.
                Err(_) => {}
            }
        }
    }

    async fn ask_off(&mut self, cx: &Cx) -> Result<bool> {
        cx.say("Stopping the source instance...");
        self.stop(false).await?;
        Ok(true)
    }

    async fn wait_off(&mut self, cx: &Cx, deadline: Duration) -> Result<()> {
        cx.say("Waiting for the instance to stop...");
        let pace = Pace { deadline, ..self.pace };
        instance::stopped(cx, &self.ec2, &self.instance, pace).await
    }

    async fn force_off(&mut self, cx: &Cx) -> Result<()> {
        self.stop(true).await?;
        instance::stopped(cx, &self.ec2, &self.instance, self.pace).await
    }

    async fn evidence(&mut self, cx: &Cx, into: &Path) -> Vec<PathBuf> {
        let Some(console) = instance::console(&self.ec2, &self.instance).await else { return Vec::new() };
        if !self.reached {
            cx.message(format!("The last lines of the console of {}:", self.instance));
            let lines: Vec<&str> = console.lines().collect();
            for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
                cx.output(OutputStream::Stderr, *line);
            }
        }
        let file = into.join("console.log");
        std::fs::write(&file, console).ok().map(|()| file).into_iter().collect()
    }

    async fn capture(self: Box<Self>, cx: &Cx) -> Result<Artifact> {
        let Self { ec2, instance, undo, harvest, .. } = *self;
        harvest.capture(cx, Off { ec2, instance, undo }).await
    }
}

impl Ec2Machine {
    async fn stop(&self, force: bool) -> Result<()> {
        let mut request = self.ec2.api.stop_instances().instance_ids(&self.instance);
        if force {
            request = request.force(true);
        }
        match request.send().await.map_err(ApiError::from) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.ec2.explain(format!("stopping {}", self.instance), error).await),
        }
    }
}
