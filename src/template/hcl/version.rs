//! Version constraints: `>= 1.7.0, < 2.0.0`, `~> 1.9`.

use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version constraint")]
pub struct BadConstraint(String);

/// Does `version` fit all of the constraints?
pub fn fits(version: &str, constraints: &str) -> Result<bool, BadConstraint> {
    let bad = || BadConstraint(constraints.trim().to_owned());
    let version = numbers(version).ok_or_else(bad)?;
    let mut all = true;
    for constraint in constraints.split(',') {
        let constraint = constraint.trim();
        let word = constraint.find(|c: char| c.is_ascii_digit() || c == 'v').ok_or_else(bad)?;
        let wanted = numbers(constraint[word..].trim()).ok_or_else(bad)?;
        let order = compare(&version, &wanted);
        all &= match constraint[..word].trim() {
            "" | "=" | "==" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            ">" => order == Ordering::Greater,
            ">=" => order != Ordering::Less,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            // The last part that is given may grow, those before it may not.
            "~>" => order != Ordering::Less && same(&version, &wanted[..wanted.len().saturating_sub(1).max(1)]),
            _ => return Err(bad()),
        };
    }
    Ok(all)
}

/// Is `version` the wanted one or a later one? None: `wanted` is no version.
pub fn at_least(version: &str, wanted: &str) -> Option<bool> {
    Some(compare(&numbers(version)?, &numbers(wanted)?) != Ordering::Less)
}

/// The dotted numbers; a pre-release or build suffix plays no part.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+']).next()?;
    core.split('.').map(|part| part.parse().ok()).collect()
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let part = |list: &[u64], i: usize| list.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .map(|i| part(a, i).cmp(&part(b, i)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn same(version: &[u64], prefix: &[u64]) -> bool {
    compare(&version[..prefix.len().min(version.len())], prefix) == Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::{at_least, fits};

    #[test]
    fn constraints() {
        let table = [
            (">= 1.7.0", true),
            (">= 1.7.0, < 1.10", false),
            ("~> 1.9", true),
            ("~> 1.16.0", true),
            ("~> 1.15.2", false),
            ("~> 2.0", false),
            ("1.16", true),
            ("!= 1.16.0", false),
            ("> v1.15.9", true),
            ("<= 1.16.0", true),
        ];
        for (constraint, expected) in table {
            assert_eq!(fits("1.16.0", constraint), Ok(expected), "{constraint}");
        }
        for (wanted, expected) in [("1.16", Some(true)), ("v1.16.0.1", Some(false)), ("~> 1.5", None), ("", None)] {
            assert_eq!(at_least("1.16.0", wanted), expected, "{wanted}");
        }
        for bad in ["", "latest", ">=", "=> 1.0", "1.x", ">= 1.0,"] {
            assert!(fits("1.16.0", bad).is_err(), "{bad:?}");
        }
    }
}
