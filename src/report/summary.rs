//! What is told at the end: the stages with their times, the artifacts.

use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::event::Outcome;
use bakehouse_api::{Artifact, Event, EventKind};

#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub builds: Vec<BuildSummary>,
    /// Of the whole run.
    pub took: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct BuildSummary {
    pub name: Arc<str>,
    pub stages: Vec<(String, Duration, Outcome)>,
    pub outcome: Option<Outcome>,
    pub took: Duration,
    pub artifacts: Vec<Artifact>,
    pub error: Option<String>,
}

impl Summary {
    pub fn event(&mut self, event: &Event) {
        if let EventKind::RunFinished { millis, .. } = event.kind {
            self.took = Some(Duration::from_millis(millis));
        }
        let Some(name) = &event.build else { return };
        let build = self.build(name);
        match &event.kind {
            EventKind::StageFinished { stage, outcome, millis, .. } => {
                build.stages.push((stage.clone(), Duration::from_millis(*millis), *outcome));
            }
            EventKind::Artifact { artifact, .. } => build.artifacts.push(artifact.clone()),
            EventKind::Error { text, .. } => build.error = Some(text.lines().next().unwrap_or_default().to_owned()),
            EventKind::BuildFinished { outcome, millis } => {
                build.outcome = Some(*outcome);
                build.took = Duration::from_millis(*millis);
            }
            _ => {}
        }
    }

    fn build(&mut self, name: &Arc<str>) -> &mut BuildSummary {
        let at = self.builds.iter().position(|build| build.name == *name).unwrap_or_else(|| {
            self.builds.push(BuildSummary {
                name: name.clone(),
                stages: Vec::new(),
                outcome: None,
                took: Duration::ZERO,
                artifacts: Vec::new(),
                error: None,
            });
            self.builds.len() - 1
        });
        &mut self.builds[at]
    }

    /// One row a stage, one block a build.
    pub fn table(&self) -> String {
        let width = self.builds.iter().flat_map(|build| &build.stages).map(|(stage, ..)| stage.chars().count()).max();
        let width = width.unwrap_or(0).max("total".len());
        let mut table = String::new();
        for build in &self.builds {
            table.push_str(&format!("{}\n", build.name));
            for (stage, took, outcome) in &build.stages {
                let remark = match outcome {
                    Outcome::Done => "",
                    Outcome::Cached => "  cached",
                    Outcome::Skipped => "  skipped",
                    Outcome::Failed => "  failed",
                    Outcome::Interrupted => "  interrupted",
                };
                table.push_str(&format!("  {stage:<width$} {:>9.1} s{remark}\n", took.as_secs_f64()));
            }
            table.push_str(&format!("  {:<width$} {:>9.1} s\n", "total", build.took.as_secs_f64()));
        }
        table
    }

    pub fn artifact_lines(&self) -> Vec<String> {
        let all = self.builds.iter().filter(|build| build.outcome == Some(Outcome::Done));
        all.flat_map(|build| build.artifacts.iter().map(|artifact| format!("--> {}: {}", build.name, artifact.text)))
            .collect()
    }

    pub fn error_lines(&self) -> Vec<String> {
        let failed = |build: &&BuildSummary| !matches!(build.outcome, Some(Outcome::Done | Outcome::Skipped));
        let line = |build: &BuildSummary| {
            format!("--> {}: {}", build.name, build.error.as_deref().unwrap_or("did not finish"))
        };
        self.builds.iter().filter(failed).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up() {
        let mut summary = Summary::default();
        let event = |kind| Event { v: 1, time: std::time::UNIX_EPOCH, build: Some("qemu.debian".into()), kind };
        let stage =
            |stage: &str, millis, outcome| EventKind::StageFinished { index: 0, stage: stage.into(), outcome, millis };
        summary.event(&event(stage("start", 420, Outcome::Done)));
        summary.event(&event(stage("provision shell", 12_345, Outcome::Failed)));
        summary.event(&event(EventKind::BuildFinished { outcome: Outcome::Failed, millis: 12_800 }));
        insta::assert_snapshot!(summary.table(), @r"
        qemu.debian
          start                 0.4 s
          provision shell      12.3 s  failed
          total                12.8 s
        ");
    }
}
