//! The post-processor chains of a build: each starts from the build's artifact; what is kept and
//! what is destroyed on the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::{Artifact, Cx, Diagnostics, Error, Facts, Result};

use super::prepare::PostStep;
use super::undo::{Undoers, undo_with};
use crate::post::PostProcessor;

/// For destroying one artifact that nobody wants.
const DESTROY: Duration = Duration::from_secs(120);

/// An artifact and who made it: the builder or a post-processor.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub from: String,
    pub artifact: Artifact,
}

pub struct Chains {
    original: Made,
    /// A first post-processor of a chain asked for it.
    keep_original: bool,
    chains: Vec<Chain>,
    /// Inputs of later post-processors that are to be kept.
    kept: Vec<Made>,
    undoers: Undoers,
}

#[derive(Default)]
struct Chain {
    /// None while it still is the build's own artifact.
    current: Option<Made>,
    failed: bool,
}

impl Chains {
    pub fn new(original: Made, count: usize, undoers: Undoers) -> Self {
        let chains = std::iter::repeat_with(Chain::default).take(count).collect();
        Self { original, keep_original: count == 0, chains, kept: Vec::new(), undoers }
    }

    pub fn failed(&self, chain: usize) -> bool {
        self.chains[chain].failed
    }

    /// The rest of the chain is left out, and what it had to work on stays for another try.
    pub fn fail(&mut self, chain: usize) {
        self.chains[chain].failed = true;
        self.keep_original = true;
    }

    pub async fn step(&mut self, cx: &Cx, chain: usize, index: usize, step: &PostStep, facts: &Facts) -> Result<()> {
        let named = |error: Error| error.context(format!("post-processor `{}`", step.plan.name)).at(step.plan.span);
        let input = self.chains[chain].current.as_ref().unwrap_or(&self.original);
        let processor = realise(step, facts).map_err(named)?;
        let outcome = processor.run(cx, &input.artifact).await.map_err(named)?;
        let asked = step.plan.keep_input_artifact;
        if outcome.must_keep && asked == Some(false) {
            cx.warn(format!(
                "`{}` always keeps its input: keep_input_artifact = false changes nothing",
                step.plan.name
            ));
        }
        let passed_on = outcome.artifact.is_none();
        let keep = passed_on || outcome.must_keep || asked.unwrap_or(outcome.keep_by_default);
        if index == 0 {
            self.keep_original |= keep;
        }
        let Some(artifact) = outcome.artifact else { return Ok(()) };
        let made = Made { from: step.plan.kind.clone(), artifact };
        match self.chains[chain].current.replace(made) {
            Some(input) if keep => self.kept.push(input),
            Some(input) => self.destroy(cx, &input).await,
            None => {}
        }
        Ok(())
    }

    /// After the last chain: destroys the build's artifact unless it is kept. What remains, the
    /// build's own first. An unfinished build keeps everything.
    pub async fn finish(mut self, cx: &Cx, finished: bool) -> Vec<Made> {
        self.keep_original |= !finished;
        if !self.keep_original {
            self.destroy(cx, &self.original).await;
        }
        let original = self.keep_original.then_some(self.original);
        let results = self.chains.into_iter().filter_map(|chain| chain.current);
        original.into_iter().chain(self.kept).chain(results).collect()
    }

    async fn destroy(&self, cx: &Cx, made: &Made) {
        cx.message(format!("Removing the artifact of {}: a post-processor made another one of it", made.from));
        let wanted = self.wanted();
        let work = destroy(&made.artifact, &wanted, &self.undoers);
        let done = tokio::time::timeout(DESTROY, cx.interruptible(work)).await;
        let trouble = match done {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("gave up after {DESTROY:?}"),
        };
        cx.warn(format!("cannot remove the artifact of {}: {trouble}", made.from));
    }

    /// The files of every artifact that stays.
    fn wanted(&self) -> Vec<PathBuf> {
        let original = self.keep_original.then_some(&self.original);
        let current = self.chains.iter().filter_map(|chain| chain.current.as_ref());
        let all = original.into_iter().chain(&self.kept).chain(current);
        all.flat_map(|made| made.artifact.files.iter().cloned()).collect()
    }
}

/// Files that another artifact also has stay, and so does a directory that holds some of them.
async fn destroy(artifact: &Artifact, wanted: &[PathBuf], undoers: &Undoers) -> Result<()> {
    for file in artifact.files.iter().filter(|file| !wanted.contains(file)) {
        match tokio::fs::remove_file(file).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("removing {}", file.display()), &error));
            }
            _ => {}
        }
    }
    for undo in &artifact.destroy {
        let folder = undo.data.get("path").and_then(|path| path.as_str()).map(Path::new);
        if !folder.is_some_and(|folder| wanted.iter().any(|file| file.starts_with(folder))) {
            undo_with(undoers, undo).await?;
        }
    }
    Ok(())
}

fn realise(step: &PostStep, facts: &Facts) -> Result<Box<dyn PostProcessor>> {
    let body = step.plan.config.body(facts).map_err(Error::diagnostics)?;
    let mut found = Diagnostics::default();
    (step.row.prepare)(&body, &mut found).ok_or_else(|| Error::diagnostics(found))
}
