//! The blocks of an upgraded template.

use bakehouse_api::value::Data;
use bakehouse_api::{Entry, Field, Value};

use super::super::template::{Builder, PostProcessor, Provisioner, Scope, Template, Text};
use super::Known;
use super::calls::{Place, Translator, quote};
use super::names::{Names, Sort};
use super::values::{Expressions, block, list, object, options, settled_option};

const TIMESTAMP: &str = r#"regex_replace(timestamp(), "[- TZ:]", "")"#;
const TIMESTAMP_NOTE: &str = "# `{{timestamp}}` was in seconds since 1970; this is the date and the time in digits.\n";

/// Variables, locals, sources and the build.
pub fn sections(template: &Template, names: &Names, known: Known<'_>) -> [String; 4] {
    let upgrade = Upgrade { template, names, known };
    let (variables, sources, build) = (upgrade.variables(), upgrade.sources(), upgrade.build());
    // Last: what stands elsewhere decides whether the time is needed.
    [variables, upgrade.locals(), sources, build]
}

/// The comments at the root.
pub fn comments(template: &Template) -> String {
    let lines = template.comments.iter().flat_map(|(_, text)| text.lines());
    lines.map(|line| format!("# {}\n", line.replace(char::is_control, " ").trim_end())).collect()
}

struct Upgrade<'a> {
    template: &'a Template,
    names: &'a Names,
    known: Known<'a>,
}

impl Upgrade<'_> {
    fn translator(&self, place: Place) -> Translator<'_> {
        Translator { names: self.names, place }
    }

    /// The default of a variable, and the comment that it needs.
    fn default(&self, variable: &str, place: Place) -> (&'static str, String) {
        let declared = self.template.variables.iter().find(|declared| declared.name == variable);
        let text = declared.and_then(|declared| declared.default.as_ref()).map_or("", |default| &default.text);
        let mut expressions = Expressions::new(self.translator(place));
        let default = expressions.text(text);
        (expressions.note(), default)
    }

    fn variables(&self) -> String {
        let mut blocks = Vec::new();
        for (name, identifier, sort) in self.names.variables() {
            let default = match sort {
                Sort::Required => String::new(),
                Sort::Plain | Sort::Undeclared => format!("default = {}\n", self.default(name, Place::Default).1),
                Sort::Computed => "default = null\n".to_owned(),
            };
            let sensitive = if self.template.is_sensitive(name) { "sensitive = true\n" } else { "" };
            let renamed = if name == identifier { String::new() } else { format!("# Was {}.\n", quote(name)) };
            let inner = format!("type = string\n{default}{sensitive}");
            blocks.push(renamed + &block(&format!("variable {}", quote(identifier)), &inner));
        }
        for (asked, identifier) in &self.names.environment {
            let default = format!("default = env({})\n", quote(asked));
            blocks.push(format!("variable {} {{\ntype = string\n{default}}}\n", quote(identifier)));
        }
        blocks.join("\n")
    }

    fn locals(&self) -> String {
        let mut lines = String::new();
        let mut blocks = Vec::new();
        for (name, identifier, _) in self.names.variables().filter(|(.., sort)| *sort == Sort::Computed) {
            // What the variable is set to, else its default.
            let (note, default) = self.default(name, Place::Local);
            let value = format!("var.{identifier} != null ? var.{identifier} : {default}");
            if self.template.is_sensitive(name) {
                let inner = format!("expression = {value}\nsensitive = true\n");
                blocks.push(format!("{note}local {} {{\n{inner}}}\n", quote(identifier)));
            } else {
                lines.push_str(&format!("{note}{identifier} = {value}\n"));
            }
        }
        if self.names.timestamp_used.get() {
            lines.insert_str(0, &format!("{TIMESTAMP_NOTE}{} = {TIMESTAMP}\n", self.names.timestamp()));
        }
        if !lines.is_empty() {
            blocks.insert(0, format!("locals {{\n{lines}}}\n"));
        }
        blocks.join("\n")
    }

    fn sources(&self) -> String {
        let source = |(builder, label): (&Builder, &String)| {
            let inner = options(
                &builder.options,
                &(self.known)(&format!("builder.{}", builder.kind)),
                self.translator(Place::Source),
            );
            block(&format!("source {} {}", quote(&builder.kind), quote(label)), &inner)
        };
        let blocks: Vec<String> = self.template.builders.iter().zip(&self.names.labels).map(source).collect();
        blocks.join("\n")
    }

    fn build(&self) -> String {
        if self.template.builders.is_empty() {
            return String::new();
        }
        let description = self.template.description.iter();
        let mut parts: Vec<String> = description.map(|text| format!("description = {}\n", quote(text))).collect();
        parts.push(self.usages());
        parts.extend(self.template.provisioners.iter().map(|step| self.provisioner("provisioner", step)));
        if let Some(step) = &self.template.on_error {
            // It runs for every build, whatever its `only` and `except` say.
            let step = Provisioner { scope: Scope::default(), ..step.clone() };
            parts.push(self.provisioner("error-cleanup-provisioner", &step));
        }
        parts.extend(self.template.chains.iter().filter(|chain| !chain.is_empty()).map(|chain| self.chain(chain)));
        format!("build {{\n{}}}\n", parts.join("\n"))
    }

    /// A name that is no label of HCL2 is given by the build.
    fn usages(&self) -> String {
        let builders = self.template.builders.iter().zip(&self.names.labels);
        let ids: Vec<String> =
            builders.clone().map(|(builder, label)| quote(&format!("source.{}.{label}", builder.kind))).collect();
        if builders.clone().all(|(builder, label)| builder.name.text == *label) {
            return format!("sources = {}\n", list(ids));
        }
        let usage = |((builder, label), id): ((&Builder, &String), &String)| {
            if builder.name.text == *label {
                return format!("source {id} {{}}\n");
            }
            let name = self.name(&builder.name.text);
            format!("source {id} {{\nname = {name}\n}}\n")
        };
        let blocks: Vec<String> = builders.zip(&ids).map(usage).collect();
        blocks.join("\n")
    }

    fn name(&self, written: &str) -> String {
        self.translator(Place::Local).text(written).expression
    }

    fn provisioner(&self, keyword: &str, step: &Provisioner) -> String {
        let translator = self.translator(Place::Step);
        let known = (self.known)(&format!("provisioner.{}", step.kind));
        let shared: Vec<Entry> = step.shared.iter().map(with_unit).collect();
        let inner = [
            self.scope(&step.scope),
            options(&shared, &known, translator),
            options(&step.options, &known, translator),
            self.overrides(step, &known),
        ];
        block(&format!("{keyword} {}", quote(&step.kind)), &inner.concat())
    }

    /// A step is for "type.name" where it was for the name of a builder.
    fn scope(&self, scope: &Scope) -> String {
        let names = |key: &str, names: &[Text]| {
            if names.is_empty() {
                return String::new();
            }
            let ids = names.iter().flat_map(|name| self.ids(&name.text)).collect();
            format!("{key} = {}\n", list(ids))
        };
        names("only", &scope.only) + &names("except", &scope.except)
    }

    /// A name that no builder is written with is one that some builder gets when its name is rendered.
    fn ids(&self, name: &str) -> Vec<String> {
        let builders = &self.template.builders;
        let found = builders.iter().find(|builder| builder.name.text == name);
        let mut kinds: Vec<&str> = match found {
            Some(builder) => vec![&builder.kind],
            None => {
                let rendered = builders.iter().filter(|builder| builder.name.text.contains("{{"));
                rendered.map(|builder| builder.kind.as_str()).collect()
            }
        };
        if kinds.is_empty() {
            // Nobody has this name, and an empty list would be for everybody.
            return vec![quote(name)];
        }
        kinds.sort_unstable();
        kinds.dedup();
        let translator = self.translator(Place::Local);
        kinds.into_iter().map(|kind| translator.text(&format!("{kind}.{name}")).expression).collect()
    }

    fn overrides(&self, step: &Provisioner, known: &[Field]) -> String {
        if step.overrides.is_empty() {
            return String::new();
        }
        let mut expressions = Expressions::new(self.translator(Place::Step));
        let mut builders = Vec::new();
        for (name, entries) in &step.overrides {
            let options = entries.iter().map(|entry| {
                let value = settled_option(entry, known);
                (expressions.key(&entry.name), expressions.value(&value))
            });
            let options = options.collect();
            builders.push((expressions.key(&name.text), object(options)));
        }
        format!("{}override = {}\n", expressions.note(), object(builders))
    }

    fn chain(&self, chain: &[PostProcessor]) -> String {
        let steps: Vec<String> = chain.iter().map(|post| self.post_processor(post)).collect();
        match steps.as_slice() {
            [alone] => alone.clone(),
            _ => format!("post-processors {{\n{}}}\n", steps.join("\n")),
        }
    }

    fn post_processor(&self, post: &PostProcessor) -> String {
        let mut inner = String::new();
        if post.named {
            inner.push_str(&format!("name = {}\n", quote(&post.name)));
        }
        inner.push_str(&self.scope(&post.scope));
        if let Some(keep) = post.keep_input_artifact {
            inner.push_str(&format!("keep_input_artifact = {keep}\n"));
        }
        let known = (self.known)(&format!("post-processor.{}", post.kind));
        inner.push_str(&options(&post.options, &known, self.translator(Place::Step)));
        block(&format!("post-processor {}", quote(&post.kind)), &inner)
    }
}

/// A bare number of time is one of nanoseconds in JSON, and no duration in HCL2.
fn with_unit(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if let (Data::Number(number), true) = (&entry.node.value.data, entry.name != "max_retries") {
        entry.node.value = Value::from(format!("{number}ns"));
    }
    entry
}
