//! `functions`: what the language can compute.

use std::fmt::Write;

use bakehouse_api::diag::nearest;
use bakehouse_api::{Error, Kind, Result};

use super::{End, put};
use crate::template::functions::{Function, Group, all, find};

#[derive(clap::Args)]
pub struct Args {
    /// Only this one.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub fn run(args: &Args) -> Result<End> {
    let text = match &args.name {
        None => list(),
        Some(name) => one(find(name).ok_or_else(|| unknown(name))?),
    };
    put(&text);
    Ok(End::Success)
}

fn unknown(name: &str) -> Error {
    let error = Error::new(Kind::Config, format!("there is no function `{name}`"));
    error.hint(match nearest(name, all().iter().map(|function| function.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`bakehouse functions` lists them all".into(),
    })
}

fn list() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let functions = all().iter().filter(|function| function.group == group);
        let _ = writeln!(text, "{group}");
        for function in functions {
            let _ = writeln!(text, "  {:<width$}  {}", function.signature(), function.doc, width = WIDTH);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

/// Of the column of signatures; longer ones move their sentence to the right.
const WIDTH: usize = 34;

fn one(function: &Function) -> String {
    let mut text = format!("{} -> {}\n\n{}\n", function.signature(), function.returns.name(), function.doc);
    if let Some((expression, result)) = function.example {
        let _ = write!(text, "\n> {expression}\n{result}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use bakehouse_api::FileId;

    use super::*;
    use crate::template::eval::{Evaluator, Scope};
    use crate::template::functions::CallCx;
    use crate::template::hcl::parser::parse_expression;

    fn json(expression: &str) -> String {
        let now = SystemTime::UNIX_EPOCH;
        let host = CallCx { root: "/".into(), cwd: "/".into(), env: BTreeMap::new(), now, services: None };
        let text = format!("jsonencode({expression})");
        let expr = parse_expression(FileId::default(), &text).unwrap();
        let mut evaluator = Evaluator::new(&host);
        let value = evaluator.eval(&expr, &Scope::default());
        value
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_else(|| panic!("{:?}", evaluator.diagnostics))
    }

    #[test]
    fn every_example_gives_what_it_says() {
        let examples: Vec<_> = all().iter().filter_map(|function| function.example).collect();
        assert!(examples.len() > 60);
        for (expression, result) in examples {
            assert_eq!(json(expression), json(result), "{expression}");
        }
    }

    #[test]
    fn all_functions_are_listed_below_their_group() {
        let text = list();
        assert_eq!(text.lines().filter(|line| line.starts_with("  ")).count(), all().len());
        assert!(text.starts_with("Numbers\n  abs(number) "), "{text}");
        assert!(text.contains("\nSecrets\n  aws_secretsmanager(name, key?)"), "{text}");
    }

    #[test]
    fn a_slip_is_understood() {
        assert_eq!(unknown("regexp").hints(), ["did you mean `regex`?"]);
        assert_eq!(unknown("xyzzy").hints(), ["`bakehouse functions` lists them all"]);
    }
}
