//! What the last run of each build read and decided: to say what has changed since, and why it did what it did.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::course::{Course, Leg};
use super::decide::Verdict;
use super::key::{Key, Recipe};
use super::note::now;

const FOLDER: &str = "builds";

/// A build's page.
pub struct Ledger {
    path: PathBuf,
    page: Remembered,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Remembered {
    pub build: String,
    /// The folder of its template.
    pub template: PathBuf,
    /// Seconds since 1970.
    pub at: u64,
    pub legs: Vec<RememberedLeg>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RememberedLeg {
    pub name: String,
    pub key: Option<Key>,
    recipe: Recipe,
    /// It ended well, in that run or in the one that it was taken from.
    pub done: bool,
    pub cached: bool,
    /// Why it ran.
    pub why: String,
}

impl Remembered {
    /// What has changed in a leg since; none: nothing.
    pub fn reason(&self, at: usize, leg: &Leg) -> Option<String> {
        let Some(old) = self.legs.iter().find(|old| old.name == leg.name).or(self.legs.get(at)) else {
            return Some("it is new".into());
        };
        let differences = leg.recipe.differences(&old.recipe);
        match differences.as_slice() {
            [] if !old.done => Some("it did not end well last time".into()),
            [] if old.name != leg.name => Some(format!("it was `{}`", old.name)),
            [] => None,
            [_, ..] => Some(differences.join("; ")),
        }
    }
}

impl Ledger {
    pub fn open(store: &Path, template: &Path, build: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(template.as_os_str().as_encoded_bytes()).update(&[0]).update(build.as_bytes());
        let path = store.join(FOLDER).join(format!("{}.json", &hasher.finalize().to_hex()[..32]));
        let page = Remembered { build: build.into(), template: template.into(), ..Remembered::default() };
        Self { path, page }
    }

    /// The page that the last run has left.
    pub fn last(&self) -> Option<Remembered> {
        read(&self.path).ok()
    }

    /// Begins the page of this run.
    pub fn begin(&mut self, course: &Course, verdicts: &[Verdict]) -> io::Result<()> {
        let leg = |(leg, verdict): (&Leg, &Verdict)| RememberedLeg {
            name: leg.name.clone(),
            key: leg.key.clone(),
            recipe: leg.recipe.clone(),
            done: matches!(verdict, Verdict::Cached(_)),
            cached: matches!(verdict, Verdict::Cached(_)),
            why: match verdict {
                Verdict::Cached(_) => String::new(),
                Verdict::Run(why) => why.clone(),
            },
        };
        self.page.at = now();
        self.page.legs = course.legs.iter().zip(verdicts).map(leg).collect();
        self.write()
    }

    /// The leg ended well.
    pub fn done(&mut self, leg: usize) -> io::Result<()> {
        if let Some(leg) = self.page.legs.get_mut(leg) {
            leg.done = true;
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        let mut made = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut made, &self.page)?;
        made.persist(&self.path)?;
        Ok(())
    }

    /// The pages of every build, the last run first.
    pub fn all(store: &Path) -> io::Result<Vec<Remembered>> {
        let entries = match store.join(FOLDER).read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all: Vec<Remembered> = entries.flatten().filter_map(|entry| read(&entry.path()).ok()).collect();
        all.sort_by_key(|page| std::cmp::Reverse(page.at));
        Ok(all)
    }
}

fn read(path: &Path) -> io::Result<Remembered> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}
