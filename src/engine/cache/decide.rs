//! Which checkpoint a build goes on from, and why each leg is cached or runs.

use std::time::Duration;

use super::age;
use super::course::{Course, Leg};
use super::ledger::Remembered;
use super::note::{Kind, now};
use super::store::Entry;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// How long ago it ran.
    Cached(Duration),
    Run(String),
}

#[derive(Debug)]
pub struct Decision {
    /// The leg and its checkpoint.
    pub from: Option<(usize, Entry)>,
    /// One for each leg.
    pub verdicts: Vec<Verdict>,
}

impl Decision {
    /// `entries` are the checkpoints to choose from, `last` is what the last run of the build remembered.
    pub fn make(course: &Course, entries: &[Entry], last: Option<&Remembered>) -> Self {
        let mut limit = course.legs.iter().position(|leg| leg.key.is_none()).unwrap_or(course.legs.len());
        let mut stale = None;
        let from = loop {
            let Some((leg, entry)) = deepest(course, entries, limit) else { break None };
            match first_stale(course, leg, entry) {
                Some((old, reason)) => {
                    limit = old;
                    stale = Some((old, reason));
                }
                None => break Some((leg, entry.clone())),
            }
        };
        let verdicts = verdicts(course, from.as_ref(), stale, last);
        Self { from, verdicts }
    }
}

fn deepest<'a>(course: &Course, entries: &'a [Entry], limit: usize) -> Option<(usize, &'a Entry)> {
    let artifact = course.legs.len() - 1;
    course.legs[..limit].iter().enumerate().rev().find_map(|(at, leg)| {
        let kind = if at == artifact { Kind::Artifact } else { Kind::Machine };
        let key = leg.key.as_ref()?;
        let newest = |entry: &&Entry| entry.note.ran.get(at).map(|ran| ran.at);
        let fitting = entries.iter().filter(|entry| entry.note.key == *key && entry.note.kind == kind);
        fitting.filter(|entry| entry.note.ran.len() == at + 1).max_by_key(newest).map(|entry| (at, entry))
    })
}

/// The first leg up to the checkpoint that ran too long ago.
fn first_stale(course: &Course, leg: usize, entry: &Entry) -> Option<(usize, String)> {
    course.legs[..=leg].iter().zip(&entry.note.ran).enumerate().find_map(|(at, (leg, ran))| {
        let old = Duration::from_secs(now().saturating_sub(ran.at));
        let ttl = leg.ttl.filter(|ttl| old >= *ttl)?;
        Some((at, format!("older than {}", age(ttl))))
    })
}

fn verdicts(
    course: &Course,
    from: Option<&(usize, Entry)>,
    stale: Option<(usize, String)>,
    last: Option<&Remembered>,
) -> Vec<Verdict> {
    let done = from.map_or(0, |(leg, _)| leg + 1);
    let verdict = |(at, leg): (usize, &Leg)| {
        if let Some((_, entry)) = from.filter(|_| at < done) {
            let ran = entry.note.ran.get(at).map_or(0, |ran| ran.at);
            return Verdict::Cached(Duration::from_secs(now().saturating_sub(ran)));
        }
        if let Some((_, reason)) = stale.as_ref().filter(|(old, _)| *old == at) {
            return Verdict::Run(reason.clone());
        }
        if let Some(never) = &leg.never {
            return Verdict::Run(never.clone());
        }
        let own = last.map(|last| last.reason(at, leg));
        Verdict::Run(match own {
            Some(Some(reason)) => reason,
            _ if at > done => format!("it follows `{}`", course.legs[at - 1].name),
            Some(None) => "no checkpoint of it is there".into(),
            None => "nothing is known of an earlier run".into(),
        })
    };
    course.legs.iter().enumerate().map(verdict).collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
