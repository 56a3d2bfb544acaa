//! The page of the language's functions, from the table that they are called by.

use std::fmt::Write;

use super::pages::cell;
use crate::template::functions::{Group, all};

const NOTE: &str =
    "Written from the table of functions: change that, then run `UPDATE_REFERENCE=1 cargo test --test reference`.";

pub fn page() -> String {
    let mut text = format!("# Functions\n\n{NOTE}\n\nA parameter with `?` may be left out, one with `...` repeats.\n");
    for group in Group::ALL {
        let _ = writeln!(text, "\n## {group}\n\n| function | gives | | example |\n| --- | --- | --- | --- |");
        for function in all().iter().filter(|function| function.group == group) {
            let example = function.example.map(|(expression, result)| format!("`{expression}` is `{result}`"));
            let (signature, gives) = (function.signature(), function.returns.name());
            let example = cell(&example.unwrap_or_default());
            let _ = writeln!(text, "| `{}` | {gives} | {} | {example} |", cell(&signature), cell(function.doc));
        }
    }
    text
}
