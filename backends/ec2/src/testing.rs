//! What the tests of this crate share.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use bakehouse_api::body::Verbatim;
use bakehouse_api::{Body, Diagnostics, Entry, Form, Node, Options, Span, SpanTree, Value};

use crate::client::{Ec2, Place, Session};
use crate::options::{AmiOptions, EbsOptions, RunOptions};

/// A body of `amazon-ebs`, made of JSON.
pub fn body(options: serde_json::Value) -> Body {
    let fields = options.as_object().expect("the options are an object").clone();
    let entry = |(name, value): (String, serde_json::Value)| Entry {
        name,
        name_span: Span::default(),
        form: Form::Attribute,
        node: Node::new(from_json(&value), SpanTree::default()),
    };
    Body {
        kind: "amazon-ebs".into(),
        name: "x".into(),
        build: "amazon-ebs.x".into(),
        build_name: "x".into(),
        builder_type: "amazon-ebs".into(),
        root: ".".into(),
        span: Span::default(),
        entries: fields.into_iter().map(entry).collect(),
        engine: Arc::new(Verbatim),
        secrets: Default::default(),
    }
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => Value::from(number.as_i64().expect("a whole number")),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::tuple(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            Value::object(fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
        }
    }
}

pub fn decode<T: Options>(options: serde_json::Value) -> T {
    let mut found = Diagnostics::default();
    T::from_body(&body(options), &mut found).unwrap_or_else(|| panic!("{found:#?}"))
}

pub fn run_options() -> RunOptions {
    decode::<EbsOptions>(serde_json::json!({})).run
}

pub fn ami_options() -> AmiOptions {
    decode::<EbsOptions>(serde_json::json!({})).ami
}

/// A client that reaches nothing.
pub fn ec2() -> Ec2 {
    let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-west-1"));
    let place = Place { region: "eu-west-1".into(), ..Place::default() };
    let session = Session { place, config: config.build(), decodes_refusals: false };
    Arc::new(session).ec2("eu-west-1")
}
