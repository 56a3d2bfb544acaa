//! One documented struct per builder, provisioner and post-processor: the source of decoding,
//! defaults, validation, the reference docs and the JSON schema. See [`options!`].

use std::collections::BTreeMap;

use crate::{Body, Diagnostics, Reader, Shape, Span};

/// One option, for the reference and for "did you mean".
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub shape: Shape,
    /// As a template would write it.
    pub default: Option<serde_json::Value>,
    pub required: bool,
    pub doc: String,
    /// What the struct says of itself that the option was flattened from.
    pub section: Option<&'static str>,
}

impl Field {
    /// Decoding knows the option only to refuse it with a reason.
    pub fn unsupported(&self) -> bool {
        self.doc.starts_with("Not supported")
    }

    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// What can be configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub kind: String,
    pub doc: String,
    pub fields: Vec<Field>,
}

pub trait Options: Sized {
    fn doc() -> &'static str;
    fn fields() -> Vec<Field>;
    /// Takes its options and leaves the others: flattened structs share one reader.
    fn take(reader: &mut Reader<'_>) -> Option<Self>;
    fn set_spans(&mut self, spans: &Spans);

    /// Takes its options and reports every other entry.
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let taken = Self::take(&mut reader);
        let spans = Spans(reader.finish(&Self::fields()));
        let mut taken = taken?;
        taken.set_spans(&spans);
        Some(taken)
    }

    /// Decodes a whole body; none when `diagnostics` got an error.
    fn from_body(body: &Body, diagnostics: &mut Diagnostics) -> Option<Self> {
        let before = diagnostics.errors();
        let decoded = Self::read(Reader::new(body, diagnostics))?;
        (diagnostics.errors() == before).then_some(decoded)
    }

    fn schema(kind: &str) -> Schema {
        Schema { kind: kind.into(), doc: one_line(Self::doc()), fields: Self::fields() }
    }
}

#[doc(hidden)]
pub use serde_json::Value as Json;

/// Where each option of a struct was written.
#[derive(Clone, Debug, Default)]
pub struct Spans(pub BTreeMap<String, Span>);

impl Spans {
    /// The place of an option's value, or of the block when the option is not written.
    pub fn at(&self, name: &str) -> Span {
        self.0.get(name).or_else(|| self.0.get("")).copied().unwrap_or_default()
    }

    /// Whether the template sets it.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Defines an option struct.
///
/// ```
/// bakehouse_api::options! {
///     /// Waits.
///     pub struct SleepOptions {
///         /// How long.
///         duration: std::time::Duration,
///         /// A word about why.
///         note | "reason": String = String::new(),
///     }
/// }
/// ```
///
/// `Option`, `Vec` and map options may be absent, others need a default or are required. A second
/// brace after the word `flatten` holds structs whose options stand in the same block. The doc of an option
/// that is only known to be refused begins with "Not supported". Every struct has
/// `spans`: `options.spans.at("note")`. The struct can be nested in another one as a block.
#[macro_export]
macro_rules! options {
    (
        $(#[doc = $sdoc:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $fdoc:literal])* $field:ident $(| $alias:literal)* : $ty:ty $(= $default:expr)? ),* $(,)?
        }
        $( flatten { $( $flat:ident : $flat_ty:ty ),* $(,)? } )?
    ) => {
        $(#[doc = $sdoc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $fdoc])* pub $field: $ty, )*
            $( $( pub $flat: $flat_ty, )* )?
            /// Where each option was written.
            pub spans: $crate::options::Spans,
        }

        impl $crate::Options for $name {
            fn doc() -> &'static str {
                concat!("", $($sdoc, "\n"),*)
            }

            fn fields() -> Vec<$crate::Field> {
                #[allow(unused_mut)]
                let mut fields = vec![$(
                    $crate::Field {
                        name: $crate::option_name!($field),
                        aliases: &[$($alias),*],
                        shape: <$ty as $crate::Decode>::shape(),
                        default: $crate::option_default!($ty; $($default)?)
                            .map(|make| $crate::Decode::to_json(&make())),
                        required: $crate::option_default!($ty; $($default)?).is_none()
                            && <$ty as $crate::Decode>::absent().is_none(),
                        doc: $crate::options::one_line(concat!("", $($fdoc, "\n"),*)),
                        section: None,
                    },
                )*];
                $( $( fields.extend($crate::options::section::<$flat_ty>()); )* )?
                fields
            }

            fn take(reader: &mut $crate::Reader<'_>) -> Option<Self> {
                $( let $field = reader.take::<$ty>(
                    $crate::option_name!($field), &[$($alias),*], $crate::option_default!($ty; $($default)?)); )*
                $( $( let $flat = <$flat_ty as $crate::Options>::take(reader); )* )?
                Some(Self { $($field: $field?,)* $( $($flat: $flat?,)* )? spans: Default::default() })
            }

            fn set_spans(&mut self, spans: &$crate::options::Spans) {
                self.spans = spans.clone();
                $( $( $crate::Options::set_spans(&mut self.$flat, spans); )* )?
            }
        }

        impl $crate::Decode for $name {
            fn shape() -> $crate::Shape {
                let (doc, fields) = (<Self as $crate::Options>::doc(), <Self as $crate::Options>::fields());
                $crate::Shape::Block { doc, fields }
            }

            fn to_json(&self) -> $crate::options::Json {
                let fields: Vec<(&str, $crate::options::Json)> =
                    vec![$( ($crate::option_name!($field), $crate::Decode::to_json(&self.$field)), )*];
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }

            fn decode(node: &$crate::Node, cx: &mut $crate::decode::Ctx<'_>) -> Option<Self> {
                $crate::decode::decode_struct(node, cx)
            }

            fn placeholder() -> Self {
                Self {
                    $( $field: <$ty as $crate::Decode>::placeholder(), )*
                    $( $( $flat: <$flat_ty as $crate::Decode>::placeholder(), )* )?
                    spans: Default::default(),
                }
            }
        }
    };
}

/// Defines an enum option from the words that templates use.
///
/// ```
/// bakehouse_api::choices! {
///     pub enum DiskFormat { Qcow2 = "qcow2", Raw = "raw" }
/// }
/// ```
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $word:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $( $(#[$vmeta])* $variant ),* }

        impl $name {
            /// The words a template can use.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }

            /// The one of that word.
            #[allow(dead_code)] // a template's word is decoded; those of a command line come here
            pub fn named(word: &str) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|one| one.as_str() == word)
            }
        }

        impl $crate::Decode for $name {
            fn shape() -> $crate::Shape {
                $crate::Shape::Choice(Self::WORDS)
            }

            fn to_json(&self) -> $crate::options::Json {
                self.as_str().into()
            }

            fn decode(node: &$crate::Node, cx: &mut $crate::decode::Ctx<'_>) -> Option<Self> {
                let word = $crate::decode::word(node, cx)?;
                match word.as_str() {
                    $( $word => Some(Self::$variant), )*
                    _ => {
                        let error = $crate::Diagnostic::error(format!("`{word}` is not one of {}", Self::WORDS.join(", ")))
                            .at(node.span())
                            .did_you_mean(&word, Self::WORDS.iter().copied());
                        cx.diagnostics.push(error);
                        None
                    }
                }
            }

            fn placeholder() -> Self {
                [$(Self::$variant),*][0]
            }
        }
    };
}

#[doc(hidden)]
pub fn section<T: Options>() -> impl Iterator<Item = Field> {
    T::fields().into_iter().map(|field| Field { section: field.section.or(Some(T::doc())), ..field })
}

#[doc(hidden)]
pub fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The option's name: `r#type` is written `type`.
#[doc(hidden)]
#[macro_export]
macro_rules! option_name {
    ($field:ident) => {{
        const NAME: &str = stringify!($field);
        const { $crate::options::plain(NAME) }
    }};
}

#[doc(hidden)]
pub const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! option_default {
    ($ty:ty;) => {
        None::<fn() -> $ty>
    };
    ($ty:ty; $default:expr) => {
        Some((|| $default) as fn() -> $ty)
    };
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::body::Verbatim;
    use crate::{Body, Diagnostics, Entry, Form, Node, Options, Span, SpanTree, Value};

    options! {
        /// A disk.
        pub struct DiskOptions {
            /// In MiB.
            size: u64,
        }
    }

    options! {
        /// Something to test with.
        pub struct DemoOptions {
            /// How long.
            timeout: Duration = Duration::from_secs(300),
            r#type | "kind": Option<String>,
            tags: Vec<String>,
            headless: bool = false,
            disk: Vec<DiskOptions>,
            port: u16 = 22,
            cores: Option<u32>,
            level: i32 = -1,
            mode: Mode = Mode::Auto,
        }
    }

    crate::choices! { pub enum Mode { Auto = "auto", Off = "off" } }

    fn body(entries: &[(&str, Value)]) -> Body {
        let entry = |(i, (name, value)): (usize, &(&str, Value))| Entry {
            name: name.to_string(),
            name_span: Span { start: i as u32, ..Span::default() },
            form: if value.as_fields().is_some() { Form::Block } else { Form::Attribute },
            node: Node::new(value.clone(), SpanTree::default()),
        };
        Body {
            kind: "demo".into(),
            name: "x".into(),
            build: "demo.x".into(),
            build_name: "x".into(),
            builder_type: "demo".into(),
            root: ".".into(),
            span: Span::default(),
            entries: entries.iter().enumerate().map(entry).collect(),
            engine: Arc::new(Verbatim),
            secrets: Default::default(),
        }
    }

    fn decode(entries: &[(&str, Value)]) -> (Option<DemoOptions>, Diagnostics) {
        let mut diagnostics = Diagnostics::default();
        (DemoOptions::from_body(&body(entries), &mut diagnostics), diagnostics)
    }

    fn disk(size: &str) -> Value {
        Value::object([("size".to_owned(), Value::from(size))].into())
    }

    #[test]
    fn values_are_typed_weakly_and_defaults_filled_in() {
        let tags = Value::tuple(vec![Value::from(1), Value::from(true)]);
        let (options, diagnostics) =
            decode(&[("kind", Value::from(3)), ("tags", tags), ("headless", Value::from("true"))]);
        assert_eq!(diagnostics, Diagnostics::default());
        let options = options.expect("decodes");
        assert_eq!(options.r#type.as_deref(), Some("3"));
        assert_eq!(options.tags, ["1", "true"]);
        assert!(options.headless);
        assert_eq!(options.timeout, Duration::from_secs(300));
    }

    #[test]
    fn repeated_blocks_become_a_list() {
        let (options, _) = decode(&[("disk", disk("1")), ("disk", disk("2"))]);
        let sizes: Vec<u64> = options.expect("decodes").disk.iter().map(|disk| disk.size).collect();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn null_an_empty_text_and_a_count_of_zero_say_nothing_as_in_packer() {
        let given = [
            ("type", Value::from("")),
            ("port", Value::from(0)),
            ("cores", Value::from("0")),
            ("level", Value::from(0)),
            ("mode", Value::from("")),
            ("timeout", Value::null()),
        ];
        let (options, diagnostics) = decode(&given);
        assert_eq!(diagnostics, Diagnostics::default());
        let options = options.expect("decodes");
        assert_eq!((options.r#type.as_deref(), options.port, options.cores), (None, 22, None));
        assert_eq!((options.mode, options.timeout), (Mode::Auto, Duration::from_secs(300)));
        assert_eq!(options.level, 0, "a number that may be negative is no count");
        assert_eq!(given.map(|(name, _)| options.spans.has(name)), [false, false, false, true, false, false]);
        assert_eq!(decode(&[("timeout", Value::from(""))]).1.0[0].summary, "`` is not a duration");
    }

    #[test]
    fn all_errors_come_at_once() {
        let empty_disk = Value::object([("siez".to_owned(), Value::from(1))].into());
        let (options, diagnostics) = decode(&[
            ("timeuot", Value::from("5m")),
            ("timeout", Value::from("five")),
            ("headless", Value::tuple(vec![])),
            ("disk", empty_disk),
        ]);
        assert!(options.is_none());
        let summaries: Vec<&str> = diagnostics.0.iter().map(|d| d.summary.as_str()).collect();
        assert_eq!(
            summaries,
            [
                "`five` is not a duration",
                "this must be a bool, and it is a list",
                "this block needs the option `size`",
                "this block has no option `siez`",
                "demo `x` has no option `timeuot`",
            ]
        );
        assert_eq!(diagnostics.0[4].hint.as_deref(), Some("did you mean `timeout`?"));
    }

    #[test]
    fn two_names_of_one_option() {
        let (options, diagnostics) = decode(&[("type", Value::from("")), ("kind", Value::from("b"))]);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(options.expect("decodes").r#type.as_deref(), Some("b"));
        let (options, diagnostics) = decode(&[("type", Value::from("a")), ("kind", Value::from("b"))]);
        assert!(options.is_none());
        assert_eq!(diagnostics.0[0].summary, "`type` and `kind` are one option");
    }

    #[test]
    fn unknown_values_pass_the_types_and_go_unchecked() {
        let unknown = Value::unknown(crate::Type::String);
        let (options, diagnostics) = decode(&[("timeout", unknown)]);
        assert!(diagnostics.is_empty());
        assert_eq!(options.expect("decodes").timeout, Duration::ZERO);
    }

    #[test]
    fn fields_describe_the_struct() {
        let fields = DemoOptions::fields();
        assert_eq!(fields[1].name, "type");
        assert_eq!(fields[1].aliases, ["kind"]);
        assert_eq!(fields[0].doc, "How long.");
        assert_eq!(fields[0].default, Some("5m".into()));
        assert!(DiskOptions::fields()[0].required && !fields[2].required);
    }
}
