//! A configured source of any AWS builder: what they have in common around a [`Job`].

use std::sync::Arc;

use bakehouse_api::backend::Shutdown;
use bakehouse_api::{Body, Builder, Cx, Error, Input, Kind, Machine, Origin, Result, async_trait};
use tokio::sync::OnceCell;

use crate::client::{Pace, Sessions};
use crate::machine::{self, Harvest};
use crate::names::Names;
use crate::survey::{Common, Survey};

/// What tells one AWS builder from another.
#[async_trait]
pub trait Job: Send + Sync {
    fn common(&self) -> Common<'_>;
    /// The key of the instance's volumes, where they are to be encrypted from the start.
    fn encryption(&self) -> Option<Option<&str>> {
        None
    }
    /// Which images will come out where; everything that can be refused before anything is made.
    async fn names(&self, cx: &Cx, survey: &Survey) -> Result<Names>;
    /// What becomes of the instance.
    fn harvest(&self, survey: &Survey, names: &Names) -> Result<Box<dyn Harvest>>;
}

pub struct AwsBuilder {
    job: Box<dyn Job>,
    sessions: Arc<Sessions>,
    /// By which the undos of this build find its login.
    session: String,
    survey: OnceCell<(Survey, Names)>,
    inputs: Vec<Input>,
}

impl AwsBuilder {
    pub fn new(body: &Body, job: impl Job + 'static, sessions: Arc<Sessions>) -> Self {
        let session = uuid::Uuid::new_v4().to_string();
        Self { job: Box::new(job), sessions, session, survey: OnceCell::new(), inputs: inputs(body) }
    }

    async fn survey(&self, cx: &Cx) -> Result<&(Survey, Names)> {
        let look = async || {
            let survey = Survey::make(cx, &self.job.common(), &self.sessions, &self.session).await?;
            let names = self.job.names(cx, &survey).await?;
            Ok((survey, names))
        };
        self.survey.get_or_try_init(look).await
    }
}

/// Every option as it was written; secrets are left out.
fn inputs(body: &Body) -> Vec<Input> {
    let known = body.entries.iter().filter(|entry| !entry.node.value.has_sensitive());
    known.map(|entry| Input::new(format!("option {}", entry.name), format!("{:?}", entry.node.value.data))).collect()
}

#[async_trait]
impl Builder for AwsBuilder {
    fn inputs(&self) -> Vec<Input> {
        self.inputs.clone()
    }

    fn shutdown(&self) -> Option<Shutdown> {
        let common = self.job.common();
        // A spot instance cannot be stopped: its image is made while it runs.
        if common.run.is_spot() {
            return None;
        }
        let timeout = Pace::instance(common.access.aws_polling.as_ref()).deadline;
        Some(Shutdown { command: None, timeout, by_itself: common.run.disable_stop_instance })
    }

    async fn resolve(&self, cx: &Cx) -> Result<Vec<Input>> {
        let (survey, _) = self.survey(cx).await?;
        Ok(vec![Input::new("source image", survey.source.id.clone())])
    }

    async fn start(&self, cx: &Cx, from: Origin) -> Result<Box<dyn Machine>> {
        if from != Origin::Scratch {
            return Err(Error::new(Kind::Internal, "this backend keeps no checkpoints to start from"));
        }
        let (survey, names) = self.survey(cx).await?;
        let harvest = self.job.harvest(survey, names)?;
        Ok(Box::new(machine::start(cx, survey, &self.job.common(), self.job.encryption(), harvest).await?))
    }
}
