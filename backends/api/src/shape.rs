//! What an option takes, as data: for messages, for the reference and for the JSON schema.

use std::fmt;

use crate::Field;

#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Text,
    Path,
    /// Text that must not be shown.
    Secret,
    Bool,
    Integer {
        min: i128,
        max: i128,
    },
    /// Text of a certain form, for which there is a name and a regular expression.
    Form {
        name: &'static str,
        pattern: &'static str,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    List(Box<Shape>),
    Map(Box<Shape>),
    Block {
        doc: &'static str,
        fields: Vec<Field>,
    },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (collection, inner) = match self {
            Shape::Text => return f.write_str("string"),
            Shape::Path => return f.write_str("path"),
            Shape::Secret => return f.write_str("string (secret)"),
            Shape::Bool => return f.write_str("bool"),
            Shape::Integer { .. } => return f.write_str("integer"),
            Shape::Form { name, .. } => return f.write_str(name),
            Shape::Choice(words) => return f.write_str(&words.join(" | ")),
            Shape::Block { .. } => return f.write_str("block"),
            Shape::List(inner) => ("list", inner),
            Shape::Map(inner) => ("map", inner),
        };
        match **inner {
            Shape::Text => write!(f, "{collection} of strings"),
            Shape::Path => write!(f, "{collection} of paths"),
            Shape::Integer { .. } => write!(f, "{collection} of integers"),
            Shape::Block { .. } => write!(f, "{collection} of blocks"),
            _ => write!(f, "{collection} ({inner})"),
        }
    }
}
