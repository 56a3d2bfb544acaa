//! What is printed and what later comparisons read: `{id, what, ours, theirs, ratio, goal, met, runs}`.

use std::path::PathBuf;

use serde_json::{Value, json};

pub struct Row {
    pub id: &'static str,
    pub what: String,
    /// In `unit`; medians.
    pub ours: f64,
    pub theirs: Option<f64>,
    pub unit: &'static str,
    pub goal: Goal,
    pub runs: usize,
}

#[derive(Clone, Copy)]
pub enum Goal {
    /// ours / theirs at most.
    Ratio(f64),
    /// ours at most.
    AtMost(f64),
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.theirs.map(|theirs| self.ours / theirs)
    }

    fn met(&self) -> bool {
        match self.goal {
            Goal::Ratio(limit) => self.ratio().is_some_and(|ratio| ratio <= limit),
            Goal::AtMost(limit) => self.ours <= limit,
        }
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::Ratio(limit) => format!("ratio <= {limit:.3}"),
            Goal::AtMost(limit) => format!("<= {limit} {}", self.unit),
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "what": self.what,
            "ours": self.ours,
            "theirs": self.theirs,
            "unit": self.unit,
            "ratio": self.ratio(),
            "goal": self.goal_text(),
            "met": self.met(),
            "runs": self.runs,
        })
    }
}

pub fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<52} {:>10} {:>10} {:>7}  {:<16} met\n", "what", "ours", "packer", "ratio", "goal");
    for row in rows {
        let theirs = row.theirs.map_or("-".into(), |theirs| format!("{theirs:.2} {}", row.unit));
        let ratio = row.ratio().map_or("-".into(), |ratio| format!("{ratio:.3}"));
        let ours = format!("{:.2} {}", row.ours, row.unit);
        let met = if row.met() { "yes" } else { "NO" };
        table.push_str(&format!(
            "{:<52} {ours:>10} {theirs:>10} {ratio:>7}  {:<16} {met}\n",
            row.what,
            row.goal_text()
        ));
    }
    table
}

/// Replaces the rows of the same ids in the file, so that suites can be run one by one.
pub fn save(rows: &[Row]) -> std::io::Result<()> {
    let path = path();
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let old: Vec<Value> =
        std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let kept = old.into_iter().filter(|old| !rows.iter().any(|row| old["id"] == row.id));
    let all: Vec<Value> = kept.chain(rows.iter().map(Row::json)).collect();
    std::fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")
}

pub fn path() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("bench/results.json")
}
