//! `inspect --json`: one document for both languages. `plan` is null while a value is missing or wrong.

use std::collections::BTreeMap;

use bakehouse_api::value::Data;
use bakehouse_api::{Body, Diagnostics, Secrets, Value};
use serde_json::{Map, Value as Json, json};

use crate::report::Redactor;
use crate::template::convert::type_name;
use crate::template::hcl::config::Config;
use crate::template::interpolate::settle;
use crate::template::json::template::{PostProcessor, Template};
use crate::template::load::Loaded;
use crate::template::plan::{Build, Plan, PostStep, Step};

const MASK: &str = "<sensitive>";

pub fn document(loaded: &Loaded, secrets: &Secrets) -> Json {
    let mut document = match (&loaded.config, &loaded.legacy) {
        (Some(config), _) => hcl(config),
        (None, Some(template)) => legacy(template),
        (None, None) => json!({}),
    };
    document["plan"] = loaded.plan.as_ref().map_or(Json::Null, plan);
    mask(&mut document, &mut Redactor::new(secrets.clone()));
    document
}

fn hcl(config: &Config) -> Json {
    let variable = |variable: &crate::template::hcl::config::Variable| {
        let hide = |value: &Value| if variable.sensitive { MASK.into() } else { json_of(value) };
        json!({
            "name": variable.name,
            "type": type_name(&variable.ty),
            "description": variable.description,
            "sensitive": variable.sensitive,
            "required": variable.default.is_none(),
            "default": variable.default.as_ref().map(hide),
            "value": hide(&variable.value),
        })
    };
    let local =
        |local: &crate::template::hcl::config::Local| json!({ "name": local.name, "value": json_of(&local.value) });
    let build = |build: &crate::template::hcl::config::Outline| {
        json!({
            "name": build.name,
            "description": build.description,
            "sources": build.sources,
            "provisioners": build.provisioners,
            "post_processors": build.post_processors,
        })
    };
    json!({
        "language": "hcl2",
        "variables": config.variables.iter().map(variable).collect::<Vec<_>>(),
        "locals": config.locals.iter().map(local).collect::<Vec<_>>(),
        "sources": config.sources.iter().map(|s| json!({ "type": s.kind, "name": s.name })).collect::<Vec<_>>(),
        "builds": config.builds.iter().map(build).collect::<Vec<_>>(),
    })
}

/// All builders of a legacy template make up one build.
fn legacy(template: &Template) -> Json {
    let variable = |variable: &crate::template::json::template::Variable| {
        let sensitive = template.is_sensitive(&variable.name);
        let default = variable.default.as_ref().map(|text| if sensitive { MASK } else { &text.text });
        json!({
            "name": variable.name,
            "type": "string",
            "description": null,
            "sensitive": sensitive,
            "required": default.is_none(),
            "default": default,
        })
    };
    let kinds = |chain: &Vec<PostProcessor>| chain.iter().map(|post| post.kind.clone()).collect::<Vec<_>>();
    let source = |kind: &str, name: &str| json!({ "type": kind, "name": name });
    json!({
        "language": "json",
        "variables": template.variables.iter().map(variable).collect::<Vec<_>>(),
        "locals": [],
        "sources": template.builders.iter().map(|b| source(&b.kind, &b.name.text)).collect::<Vec<_>>(),
        "builds": [{
            "name": null,
            "description": template.description,
            "sources": template.builders.iter().map(|b| b.name.text.clone()).collect::<Vec<_>>(),
            "provisioners": template.provisioners.iter().map(|step| step.kind.clone()).collect::<Vec<_>>(),
            "post_processors": template.chains.iter().map(kinds).collect::<Vec<_>>(),
        }],
    })
}

fn plan(plan: &Plan) -> Json {
    plan.builds.iter().map(build).collect::<Vec<_>>().into()
}

fn build(build: &Build) -> Json {
    let chain = |chain: &Vec<PostStep>| chain.iter().map(post_step).collect::<Vec<_>>();
    json!({
        "name": build.name,
        "type": build.source.kind,
        "options": options(&build.source),
        "provisioners": build.provisioners.iter().map(step).collect::<Vec<_>>(),
        "error_cleanup_provisioner": build.on_error.as_ref().map(step),
        "post_processors": build.post.iter().map(chain).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Json {
    json!({
        "type": step.kind,
        "name": step.name,
        "pause_before_seconds": step.pause_before.as_secs_f64(),
        "max_retries": step.max_retries,
        "timeout_seconds": step.timeout.map(|timeout| timeout.as_secs_f64()),
        "continue_on_error": step.continue_on_error,
        "options": late(step.config.validate()),
    })
}

fn post_step(step: &PostStep) -> Json {
    json!({
        "type": step.kind,
        "name": step.name,
        "keep_input_artifact": step.keep_input_artifact,
        "options": late(step.config.validate()),
    })
}

fn late(body: Result<Body, Diagnostics>) -> Json {
    body.map_or(Json::Null, |body| options(&body))
}

/// What is known of the options before the machine runs. Several blocks of one name become a list.
fn options(body: &Body) -> Json {
    let mut named: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for entry in &body.entries {
        let mut value = json_of(&entry.node.value);
        each_text(&mut value, &mut |text| *text = settle(text, &*body.engine));
        named.entry(&entry.name).or_default().push(value);
    }
    let one = |(name, mut values): (&str, Vec<Json>)| {
        let value = if values.len() == 1 { values.remove(0) } else { Json::Array(values) };
        (name.to_owned(), value)
    };
    Json::Object(named.into_iter().map(one).collect())
}

fn json_of(value: &Value) -> Json {
    if value.sensitive {
        return MASK.into();
    }
    match &value.data {
        Data::Unknown(_) => "<unknown>".into(),
        Data::Null(_) => Json::Null,
        Data::Bool(value) => (*value).into(),
        // A number that JSON's readers could not hold stays a text.
        Data::Number(number) => number.to_string().parse().map_or_else(|_| number.to_string().into(), Json::Number),
        Data::String(text) => text.to_string().into(),
        Data::List(_, items) | Data::Set(_, items) => items.iter().map(json_of).collect::<Vec<_>>().into(),
        Data::Tuple(items) => items.iter().map(json_of).collect::<Vec<_>>().into(),
        Data::Map(_, fields) | Data::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), json_of(field))).collect::<Map<_, _>>().into()
        }
    }
}

fn mask(document: &mut Json, redactor: &mut Redactor) {
    each_text(document, &mut |text| {
        if let Some(masked) = redactor.text(text) {
            *text = masked;
        }
    });
}

fn each_text(json: &mut Json, change: &mut dyn FnMut(&mut String)) {
    match json {
        Json::String(text) => change(text),
        Json::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Json::Object(fields) => fields.values_mut().for_each(|field| each_text(field, change)),
        _ => {}
    }
}
