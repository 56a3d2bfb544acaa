//! What a build would do, without doing it: each stage cached or to be run, and why.

use bakehouse_api::{Cx, Kind, Result, UndoId};
use serde::Serialize;

use super::build::context;
use super::cache::{Policy, Verdict};
use super::checkpoints::Checkpoints;
use super::prepare::Prepared;
use super::run::Run;
use super::stage::Stage;

#[derive(Debug, Serialize)]
pub struct Outlook {
    pub build: String,
    pub stages: Vec<StageOutlook>,
}

#[derive(Debug, Serialize)]
pub struct StageOutlook {
    pub stage: String,
    pub cached: bool,
    /// Why it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long ago it ran that is cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
}

/// Images are looked at, nothing is started.
pub async fn outlook(builds: &[Prepared], run: &Run) -> Result<Vec<Outlook>> {
    let mut all = Vec::new();
    for (index, build) in builds.iter().enumerate() {
        let (cx, journal) = context(&build.name, run, index)?;
        let found = of_build(&cx, build, &run.cache).await;
        journal.drain(UndoId(0), &run.stop, &|_| ()).await;
        journal.close();
        all.push(found?);
    }
    Ok(all)
}

async fn of_build(cx: &Cx, build: &Prepared, policy: &Policy) -> Result<Outlook> {
    let (mut checkpoints, unknown) = match build.builder.resolve(cx).await {
        Ok(found) => (Checkpoints::find(cx, build, found, policy), None),
        Err(error) if error.kind() == Kind::Interrupted => return Err(error),
        Err(error) => (None, Some(error.to_string())),
    };
    if let Some(checkpoints) = &mut checkpoints {
        checkpoints.peek().await;
    }
    let stages = Stage::of(build).into_iter().map(|stage| {
        let (cached, why, age) = match checkpoints.as_ref().and_then(|all| all.verdict(stage)) {
            Some(Verdict::Cached(age)) => (true, None, Some(age.as_secs())),
            Some(Verdict::Run(why)) => (false, Some(why.clone()), None),
            None => (false, Some(without(stage, cx, build, unknown.as_deref())), None),
        };
        StageOutlook { stage: stage.name(build), cached, why, age_seconds: age }
    });
    Ok(Outlook { build: build.name.clone(), stages: stages.collect() })
}

/// Why a stage runs that no checkpoint was looked for.
fn without(stage: Stage, cx: &Cx, build: &Prepared, unknown: Option<&str>) -> String {
    match (stage, unknown) {
        (Stage::PostProcess { .. }, _) => "post-processors run each time".into(),
        (_, Some(unknown)) => unknown.to_owned(),
        _ if cx.settings().checkpoints.is_none() => "checkpoints are not used".into(),
        _ => build.builder.no_checkpoints().unwrap_or_else(|| "there are no checkpoints".into()),
    }
}
