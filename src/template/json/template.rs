//! What stands in a legacy template, before anything is evaluated: its form is checked here.

use bakehouse_api::{Diagnostic, Diagnostics, Entry, Form, Span};

use super::read::Item;

/// A text with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Template {
    pub span: Span,
    pub description: Option<String>,
    pub min_version: Option<Text>,
    /// Keys that begin with an underscore, and their texts.
    pub comments: Vec<(String, String)>,
    /// By name.
    pub variables: Vec<Variable>,
    pub sensitive: Vec<Text>,
    pub builders: Vec<Builder>,
    /// Some were written, even if all of them are wrong.
    pub has_builders: bool,
    pub provisioners: Vec<Provisioner>,
    pub on_error: Option<Provisioner>,
    pub chains: Vec<Vec<PostProcessor>>,
}

impl Template {
    pub fn is_sensitive(&self, variable: &str) -> bool {
        self.sensitive.iter().any(|name| name.text == variable)
    }

    /// Those of all builders, provisioners and post-processors.
    pub fn options(&self) -> impl Iterator<Item = &Entry> {
        let steps = self.provisioners.iter().chain(&self.on_error).flat_map(Provisioner::all_options);
        let posts = self.chains.iter().flatten().flat_map(|post| &post.options);
        self.builders.iter().flat_map(|builder| &builder.options).chain(steps).chain(posts)
    }
}

#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub name_span: Span,
    /// None: it must be set from outside.
    pub default: Option<Text>,
}

#[derive(Clone, Debug)]
pub struct Builder {
    pub kind: String,
    /// Its `name` as it is written, else its type.
    pub name: Text,
    pub span: Span,
    pub options: Vec<Entry>,
}

/// Which builds a step belongs to, by the names of builders.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub only: Vec<Text>,
    pub except: Vec<Text>,
}

#[derive(Clone, Debug)]
pub struct Provisioner {
    pub kind: String,
    pub span: Span,
    pub scope: Scope,
    /// `pause_before`, `max_retries`, `timeout`, `cache` and `cache_ttl`.
    pub shared: Vec<Entry>,
    pub options: Vec<Entry>,
    /// By the names of builders.
    pub overrides: Vec<(Text, Vec<Entry>)>,
}

impl Provisioner {
    fn all_options(&self) -> impl Iterator<Item = &Entry> {
        let overrides = self.overrides.iter().flat_map(|(_, entries)| entries);
        self.options.iter().chain(&self.shared).chain(overrides)
    }
}

#[derive(Clone, Debug)]
pub struct PostProcessor {
    pub kind: String,
    /// Its `name`, else its type.
    pub name: String,
    pub named: bool,
    pub span: Span,
    pub scope: Scope,
    pub keep_input_artifact: Option<bool>,
    pub options: Vec<Entry>,
}

const ROOT_KEYS: [&str; 9] = [
    "builders",
    "description",
    "error-cleanup-provisioner",
    "min_packer_version",
    "post-processors",
    "provisioners",
    "push",
    "sensitive-variables",
    "variables",
];

const SHARED: [&str; 5] = ["pause_before", "max_retries", "timeout", "cache", "cache_ttl"];

/// Everything wrong with the form is in the diagnostics; what is left out was wrong.
pub fn template(root: &Item, diagnostics: &mut Diagnostics) -> Option<Template> {
    let mut reader = Reader { diagnostics };
    let mut template = Template { span: root.span(), ..Template::default() };
    let Some(entries) = root.entries() else {
        reader.error(root.span(), "a template must be an object");
        return None;
    };
    entries.iter().for_each(|(name, span, item)| reader.root(name, *span, item, &mut template));
    Some(template)
}

struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn error(&mut self, span: Span, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(text).at(span));
    }

    fn must_be(&mut self, what: &str, wanted: &str, item: &Item) {
        self.error(item.span(), format!("{what} must be {wanted}, and it is {}", item.kind_name()));
    }

    /// Packer does not mind the case of root keys, and takes null for "not there".
    fn root(&mut self, name: &str, span: Span, item: &Item, to: &mut Template) {
        if name.starts_with('_') {
            match item.text() {
                Some(text) => to.comments.push((name.to_owned(), text.to_owned())),
                None => self.must_be(&format!("the comment `{name}`"), "a string", item),
            }
            return;
        }
        let key = ROOT_KEYS.into_iter().find(|key| key.eq_ignore_ascii_case(name));
        let Some(key) = key else {
            let unknown = Diagnostic::error(format!("a template has no key `{name}`")).at(span);
            let unknown = unknown.did_you_mean(name, ROOT_KEYS);
            let hint = unknown.hint.clone().unwrap_or_else(|| "a comment's key begins with an underscore".into());
            self.diagnostics.push(unknown.hint(hint));
            return;
        };
        if item.is_null() {
            return;
        }
        match key {
            "description" => to.description = self.string("`description`", item).map(|text| text.text),
            "min_packer_version" => to.min_version = self.string("`min_packer_version`", item),
            "variables" => to.variables = self.variables(item),
            "sensitive-variables" => to.sensitive = self.names("`sensitive-variables`", item),
            "builders" => {
                to.has_builders = !item.items().is_some_and(<[Item]>::is_empty);
                to.builders = self.list(key, item, Self::builder);
            }
            "provisioners" => to.provisioners = self.list(key, item, Self::provisioner),
            "error-cleanup-provisioner" => to.on_error = self.provisioner(item),
            "post-processors" => to.chains = self.list(key, item, |reader, item| Some(reader.chain(item))),
            _ if item.entries().is_none() => self.must_be("`push`", "an object", item),
            _ => self.diagnostics.push(Diagnostic::warning("`push` has no effect").at(span)),
        }
    }

    fn string(&mut self, what: &str, item: &Item) -> Option<Text> {
        let text = item.text().map(|text| Text { text: text.to_owned(), span: item.span() });
        if text.is_none() {
            self.must_be(what, "a string", item);
        }
        text
    }

    fn list<T>(&mut self, key: &str, item: &Item, read: impl Fn(&mut Self, &Item) -> Option<T>) -> Vec<T> {
        let Some(items) = item.items() else {
            self.must_be(&format!("`{key}`"), "a list", item);
            return Vec::new();
        };
        items.iter().filter_map(|item| read(self, item)).collect()
    }

    /// A name, or a list of names.
    fn names(&mut self, what: &str, item: &Item) -> Vec<Text> {
        match item {
            Item::Array(items, _) => items.iter().filter_map(|item| self.string("a name", item)).collect(),
            Item::Scalar(_) if what != "`sensitive-variables`" => self.string(what, item).into_iter().collect(),
            _ => {
                self.must_be(what, "a list of names", item);
                Vec::new()
            }
        }
    }

    fn variables(&mut self, item: &Item) -> Vec<Variable> {
        let Some(entries) = item.entries() else {
            self.must_be("`variables`", "an object", item);
            return Vec::new();
        };
        let mut variables = Vec::new();
        for (name, name_span, item) in entries {
            let default = if item.is_null() { None } else { Some(self.default(name, item)) };
            variables.push(Variable { name: name.clone(), name_span: *name_span, default });
        }
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        variables
    }

    /// A wrong one becomes an empty one, for that nothing which refers to it is wrong as well.
    fn default(&mut self, name: &str, item: &Item) -> Text {
        if item.text().is_none() {
            self.diagnostics.push(not_text(name, item));
        }
        Text { text: item.text().unwrap_or_default().to_owned(), span: item.span() }
    }

    fn builder(&mut self, item: &Item) -> Option<Builder> {
        let kind = self.kind(item, "builder")?;
        let name = match item.get("name") {
            None => kind.clone(),
            Some(Item::Scalar(node)) if !node.value.is_null() => {
                let text = bakehouse_api::decode::scalar_text(&node.value).unwrap_or_default();
                if text.is_empty() { kind.clone() } else { Text { text, span: node.span() } }
            }
            Some(other) => {
                self.must_be("`name`", "a string", other);
                kind.clone()
            }
        };
        Some(Builder {
            kind: kind.text,
            name,
            span: item.span(),
            options: entries(item, |name| !is_in(name, &["type", "name"])),
        })
    }

    /// The `type` of a builder, provisioner or post-processor.
    fn kind(&mut self, item: &Item, what: &str) -> Option<Text> {
        if item.entries().is_none() {
            self.error(item.span(), format!("a {what} must be an object, and this is {}", item.kind_name()));
            return None;
        }
        let Some(kind) = item.get("type") else {
            self.error(item.span(), format!("this {what} needs a `type`"));
            return None;
        };
        let text =
            kind.text().filter(|kind| !kind.is_empty()).map(|text| Text { text: text.to_owned(), span: kind.span() });
        if text.is_none() {
            self.error(kind.span(), "`type` must be a string that names one");
        }
        text
    }

    fn provisioner(&mut self, item: &Item) -> Option<Provisioner> {
        let kind = self.kind(item, "provisioner")?;
        let scope = self.scope(item);
        let overrides = self.overrides(item);
        let own = |name: &str| !is_in(name, &["type", "only", "except", "override"]) && !is_in(name, &SHARED);
        Some(Provisioner {
            kind: kind.text,
            span: item.span(),
            scope,
            shared: entries(item, |name| is_in(name, &SHARED)),
            options: entries(item, own),
            overrides,
        })
    }

    fn scope(&mut self, item: &Item) -> Scope {
        let mut names = |key: &str| match item.get(key) {
            Some(list) if !list.is_null() => self.names(&format!("`{key}`"), list),
            _ => Vec::new(),
        };
        let (only, except) = (names("only"), names("except"));
        if !only.is_empty() && !except.is_empty() {
            let span = item.get("except").unwrap_or(item).span();
            self.error(span, "only one of `only` and `except` can be set");
        }
        Scope { only, except }
    }

    fn overrides(&mut self, item: &Item) -> Vec<(Text, Vec<Entry>)> {
        let Some(item) = item.get("override").filter(|item| !item.is_null()) else { return Vec::new() };
        let Some(builders) = item.entries() else {
            self.must_be("`override`", "an object", item);
            return Vec::new();
        };
        let mut overrides = Vec::new();
        for (name, span, item) in builders {
            match item.entries() {
                Some(_) => overrides.push((Text { text: name.clone(), span: *span }, entries(item, |_| true))),
                None => self.must_be("an override", "an object", item),
            }
        }
        overrides
    }

    fn chain(&mut self, item: &Item) -> Vec<PostProcessor> {
        match item {
            Item::Array(items, _) => items.iter().filter_map(|item| self.post_processor(item)).collect(),
            single => self.post_processor(single).into_iter().collect(),
        }
    }

    /// A name alone stands for a post-processor without options.
    fn post_processor(&mut self, item: &Item) -> Option<PostProcessor> {
        let span = item.span();
        if let Some(kind) = item.text() {
            let (kind, name, scope) = (kind.to_owned(), kind.to_owned(), Scope::default());
            return Some(PostProcessor {
                kind,
                name,
                named: false,
                span,
                scope,
                keep_input_artifact: None,
                options: vec![],
            });
        }
        let kind = self.kind(item, "post-processor")?.text;
        let name = item.get("name").filter(|name| !name.is_null()).and_then(|name| self.string("`name`", name));
        let named = name.is_some();
        let name = name.map_or_else(|| kind.clone(), |name| name.text);
        let keep_input_artifact =
            item.get("keep_input_artifact").and_then(|keep| self.flag("keep_input_artifact", keep));
        let scope = self.scope(item);
        let own = |name: &str| !is_in(name, &["type", "name", "only", "except", "keep_input_artifact"]);
        Some(PostProcessor { kind, name, named, span, scope, keep_input_artifact, options: entries(item, own) })
    }

    fn flag(&mut self, name: &str, item: &Item) -> Option<bool> {
        match item {
            Item::Scalar(node) => match node.value.data {
                bakehouse_api::value::Data::Bool(value) => return Some(value),
                bakehouse_api::value::Data::Null(_) => return None,
                _ => {}
            },
            Item::Array(..) | Item::Object(..) => {}
        }
        self.must_be(&format!("`{name}`"), "true or false", item);
        None
    }
}

/// A variable's value that is no string.
pub fn not_text(name: &str, item: &Item) -> Diagnostic {
    let text = format!("the variable `{name}` must be a string, and it is {}", item.kind_name());
    let wrong = Diagnostic::error(text).at(item.span());
    match item {
        Item::Scalar(_) => wrong.hint("put the value in quotes"),
        Item::Array(..) => wrong.hint("write the elements in one string, with commas between them"),
        Item::Object(..) => wrong,
    }
}

fn is_in(name: &str, names: &[&str]) -> bool {
    names.contains(&name)
}

fn entries(item: &Item, wanted: impl Fn(&str) -> bool) -> Vec<Entry> {
    let all = item.entries().unwrap_or_default().iter().filter(|(name, ..)| wanted(name));
    // Packer finds options whatever their case.
    all.map(|(name, name_span, item)| Entry {
        name: name.to_ascii_lowercase(),
        name_span: *name_span,
        form: Form::Member,
        node: item.node(),
    })
    .collect()
}
