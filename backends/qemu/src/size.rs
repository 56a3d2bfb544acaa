//! Sizes as templates write them: `40960`, `40960M`, `10G`.

use std::fmt;

use bakehouse_api::decode::{Ctx, scalar_text};
use bakehouse_api::{Decode, Diagnostic, Node, Shape};

const MIB: u64 = 1 << 20;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    pub const fn mib(count: u64) -> Self {
        Self(count * MIB)
    }

    /// A bare number counts MiB, as it does in Packer; units are powers of 1024.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        let unit = text[digits..].trim_start().to_ascii_uppercase();
        let unit = unit.strip_suffix("IB").or(unit.strip_suffix('B').filter(|rest| !rest.is_empty())).unwrap_or(&unit);
        let shift = match unit {
            "B" => 0,
            "K" => 10,
            "" | "M" => 20,
            "G" => 30,
            "T" => 40,
            "P" => 50,
            "E" => 60,
            _ => return None,
        };
        number.checked_mul(1 << shift).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match units.into_iter().find(|(_, shift)| self.0 >= 1 << shift && self.0.trailing_zeros() >= *shift) {
            Some((unit, shift)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl Decode for Size {
    fn shape() -> Shape {
        let pattern = r"^\s*\d+\s*([KkMmGgTtPpEe]?([Ii]?[Bb])?|[Bb])\s*$";
        Shape::Form { name: "size, like \"40960M\" or \"10G\"", pattern }
    }

    fn to_json(&self) -> serde_json::Value {
        format!("{}M", self.0 / MIB).into()
    }

    fn decode(node: &Node, cx: &mut Ctx<'_>) -> Option<Self> {
        let text = match scalar_text(&node.value) {
            Some(_) => String::decode(node, cx)?,
            None => {
                cx.error(node.span(), format!("this must be a size, and it is {}", node.value.kind_name()));
                return None;
            }
        };
        let size = Self::parse(&text);
        if size.is_none() {
            let error = Diagnostic::error(format!("`{text}` is not a size"))
                .at(node.span())
                .hint("write a whole number with a unit: \"512M\", \"10G\"; a bare number counts MiB");
            cx.diagnostics.push(error);
        }
        size
    }

    fn placeholder() -> Self {
        Self::mib(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_and_a_bare_number_counts_mebibytes() {
        let cases = [
            ("40960", Some(40960 * MIB)),
            ("40960M", Some(40960 * MIB)),
            ("10g", Some(10 << 30)),
            ("10GiB", Some(10 << 30)),
            ("2 TB", Some(2 << 40)),
            ("512b", Some(512)),
            ("1.5G", None),
            ("-1", None),
            ("", None),
            ("10X", None),
            ("99999999999E", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(Size::parse(text).map(|size| size.0), bytes, "{text}");
        }
    }

    #[test]
    fn the_largest_whole_unit_is_shown() {
        assert_eq!(Size::mib(40960).to_string(), "40 GiB");
        assert_eq!(Size(1 << 30 | 1 << 20).to_string(), "1025 MiB");
        assert_eq!(Size(1000).to_string(), "1000 bytes");
    }
}
