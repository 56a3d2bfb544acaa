//! Builders, provisioners and post-processors to builds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Body, Diagnostic, Diagnostics, Entry, Facts, Form, Options, Secrets, Span, options};

use super::Request;
use super::read::Item;
use super::variables::engine_cx;
use crate::template::interpolate::{Engine, EngineCx};
use crate::template::plan::{Build, Late, PostStep, Step};

options! {
    /// What every provisioner can have.
    struct StepOptions {
        only: Vec<String>,
        except: Vec<String>,
        pause_before: Duration = Duration::ZERO,
        max_retries: u32 = 0,
        timeout: Option<Duration>,
    }
}

options! {
    /// What every post-processor can have.
    struct PostOptions {
        name: Option<String>,
        only: Vec<String>,
        except: Vec<String>,
        keep_input_artifact: Option<bool>,
    }
}

const STEP_KEYS: [&str; 7] = ["type", "only", "except", "override", "pause_before", "max_retries", "timeout"];
const POST_KEYS: [&str; 5] = ["type", "name", "only", "except", "keep_input_artifact"];

/// A builder, as the others refer to it.
struct Named<'a> {
    name: String,
    kind: String,
    item: &'a Item,
}

struct Loader<'a> {
    user: BTreeMap<String, String>,
    request: &'a Request,
    diagnostics: &'a mut Diagnostics,
    names: Vec<String>,
}

pub fn builds(
    root: &Item,
    user: BTreeMap<String, String>,
    request: &Request,
    diagnostics: &mut Diagnostics,
) -> Vec<Build> {
    let mut loader = Loader { user, request, diagnostics, names: Vec::new() };
    let builders = loader.builders(root);
    loader.names = builders.iter().map(|builder| builder.name.clone()).collect();
    let provisioners = loader.steps(root);
    let on_error = root.get("error-cleanup-provisioner").and_then(|item| loader.step(item));
    let chains = loader.chains(root);
    let chosen =
        |name: &String| (request.only.is_empty() || request.only.contains(name)) && !request.except.contains(name);
    let build = |builder: &Named<'_>| {
        let cx = loader.build_cx(builder);
        Build {
            name: builder.name.clone(),
            source: cx.body(&builder.kind, &builder.name, builder.item.span(), builder_entries(builder.item), None),
            provisioners: provisioners
                .iter()
                .filter(|step| step.scope.has(&builder.name))
                .map(|step| step.build(&cx))
                .collect(),
            on_error: on_error.as_ref().filter(|step| step.scope.has(&builder.name)).map(|step| step.build(&cx)),
            post: chains
                .iter()
                .map(|chain| post_steps(chain, &cx, &request.except))
                .filter(|chain| !chain.is_empty())
                .collect(),
        }
    };
    builders.iter().filter(|builder| chosen(&builder.name)).map(build).collect()
}

/// A chain ends before the first post-processor that `-except` names.
fn post_steps(chain: &[RawPost], cx: &BuildCx, except: &[String]) -> Vec<PostStep> {
    let kept = chain.iter().take_while(|post| !except.contains(&post.name));
    kept.filter(|post| post.scope.has(&cx.engine.build_name)).map(|post| post.build(cx)).collect()
}

fn builder_entries(item: &Item) -> Vec<Entry> {
    entries(item, &["type", "name"])
}

/// All entries but those.
fn entries(item: &Item, without: &[&str]) -> Vec<Entry> {
    let all = item.entries().unwrap_or_default().iter();
    all.filter(|(name, ..)| !without.contains(&name.as_str()))
        .map(|(name, name_span, item)| entry(name, *name_span, item))
        .collect()
}

fn entry(name: &str, name_span: Span, item: &Item) -> Entry {
    // Packer finds the options of a JSON template whatever their case.
    Entry { name: name.to_ascii_lowercase(), name_span, form: Form::Member, node: item.node() }
}

/// Which builds a step belongs to.
#[derive(Clone)]
struct Scope {
    only: Vec<String>,
    except: Vec<String>,
}

impl Scope {
    fn has(&self, build: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == build);
        (self.only.is_empty() || names(&self.only)) && !names(&self.except)
    }
}

struct RawStep {
    kind: String,
    span: Span,
    options: StepOptions,
    scope: Scope,
    entries: Vec<Entry>,
    /// Build name -> what it sets differently.
    overrides: BTreeMap<String, Vec<Entry>>,
}

impl RawStep {
    fn build(&self, cx: &BuildCx) -> Step {
        let mut entries = self.entries.clone();
        for entry in self.overrides.get(&cx.engine.build_name).into_iter().flatten() {
            entries.retain(|known| known.name != entry.name);
            entries.push(entry.clone());
        }
        Step {
            kind: self.kind.clone(),
            name: self.kind.clone(),
            span: self.span,
            pause_before: self.options.pause_before,
            max_retries: self.options.max_retries,
            timeout: self.options.timeout,
            continue_on_error: false,
            config: cx.late(&self.kind, &self.kind, self.span, entries),
        }
    }
}

struct RawPost {
    kind: String,
    name: String,
    span: Span,
    keep_input_artifact: Option<bool>,
    scope: Scope,
    entries: Vec<Entry>,
}

impl RawPost {
    fn build(&self, cx: &BuildCx) -> PostStep {
        PostStep {
            kind: self.kind.clone(),
            name: self.name.clone(),
            span: self.span,
            keep_input_artifact: self.keep_input_artifact,
            config: cx.late(&self.kind, &self.name, self.span, self.entries.clone()),
        }
    }
}

/// What the bodies of one build have in common.
#[derive(Clone)]
struct BuildCx {
    engine: Arc<EngineCx>,
    secrets: Secrets,
}

impl BuildCx {
    fn body(&self, kind: &str, name: &str, span: Span, entries: Vec<Entry>, facts: Option<&Facts>) -> Body {
        let engine = EngineCx { facts: facts.cloned(), ..EngineCx::clone(&self.engine) };
        Body {
            kind: kind.to_owned(),
            name: name.to_owned(),
            build: self.engine.build_name.clone(),
            build_name: self.engine.build_name.clone(),
            builder_type: self.engine.build_type.clone(),
            root: self.engine.root.clone(),
            span,
            entries,
            engine: Arc::new(Engine::new(engine)),
            secrets: self.secrets.clone(),
        }
    }

    fn late(&self, kind: &str, name: &str, span: Span, entries: Vec<Entry>) -> Late {
        let (cx, kind, name) = (self.clone(), kind.to_owned(), name.to_owned());
        Late::new(move |facts| Ok(cx.body(&kind, &name, span, entries.clone(), facts)))
    }
}

impl Loader<'_> {
    fn error(&mut self, span: Span, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(text).at(span));
    }

    fn build_cx(&self, builder: &Named<'_>) -> BuildCx {
        let engine = EngineCx {
            build_name: builder.name.clone(),
            build_type: builder.kind.clone(),
            ..engine_cx(self.request, self.user.clone())
        };
        BuildCx { engine: Arc::new(engine), secrets: self.request.secrets.clone() }
    }

    /// The elements of a list under a root key.
    fn list<'r>(&mut self, root: &'r Item, key: &str) -> &'r [Item] {
        let Some(item) = root.get(key) else { return &[] };
        match item.items() {
            Some(items) => items,
            None => {
                self.error(item.span(), format!("`{key}` must be a list, and it is {}", item.kind_name()));
                &[]
            }
        }
    }

    fn builders<'r>(&mut self, root: &'r Item) -> Vec<Named<'r>> {
        let items = self.list(root, "builders");
        if items.is_empty() {
            let span = root.get("builders").unwrap_or(root).span();
            self.error(span, "a template needs at least one builder");
        }
        let mut named: Vec<Named<'r>> = Vec::new();
        for item in items {
            let Some(kind) = self.kind(item, "builder") else { continue };
            let name = self.builder_name(item, &kind);
            if let Some(first) = named.iter().find(|known| known.name == name) {
                let twice = Diagnostic::error(format!("there are two builders named `{name}`"))
                    .at(item.get("name").or(item.get("type")).unwrap_or(item).span())
                    .related(first.item.span(), "the first one")
                    .hint("give one of them another `name`");
                self.diagnostics.push(twice);
            }
            named.push(Named { name, kind, item });
        }
        named
    }

    fn builder_name(&mut self, item: &Item, kind: &str) -> String {
        let Some(name) = item.get("name") else { return kind.to_owned() };
        let Some(text) = name.text() else {
            self.error(name.span(), format!("`name` must be a string, and it is {}", name.kind_name()));
            return kind.to_owned();
        };
        let engine = Engine::new(engine_cx(self.request, self.user.clone()));
        match engine.run(text, &BTreeMap::new()) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.error(name.span(), format!("cannot render `{text}`: {error}"));
                text.to_owned()
            }
        }
    }

    /// The `type` of a builder, provisioner or post-processor.
    fn kind(&mut self, item: &Item, what: &str) -> Option<String> {
        if item.entries().is_none() {
            self.error(item.span(), format!("a {what} must be an object, and this is {}", item.kind_name()));
            return None;
        }
        let Some(kind) = item.get("type") else {
            self.error(item.span(), format!("this {what} needs a `type`"));
            return None;
        };
        match kind.text().filter(|kind| !kind.is_empty()) {
            Some(kind) => Some(kind.to_owned()),
            None => {
                self.error(kind.span(), "`type` must be a string that names one");
                None
            }
        }
    }

    fn steps(&mut self, root: &Item) -> Vec<RawStep> {
        let items = self.list(root, "provisioners");
        items.iter().filter_map(|item| self.step(item)).collect()
    }

    fn step(&mut self, item: &Item) -> Option<RawStep> {
        let kind = self.kind(item, "provisioner")?;
        let options: StepOptions = self.common(item, &kind, &STEP_KEYS, &["type", "override"])?;
        let scope = self.scope(item, &options.only, &options.except);
        let overrides = self.overrides(item);
        Some(RawStep { kind, span: item.span(), options, scope, entries: entries(item, &STEP_KEYS), overrides })
    }

    /// Decodes what all of a sort share: the entries in `keys` but those in `without`.
    fn common<T: Options>(&mut self, item: &Item, kind: &str, keys: &[&str], without: &[&str]) -> Option<T> {
        let wanted = |name: &str| keys.contains(&name) && !without.contains(&name);
        let shared = item.entries().unwrap_or_default().iter().filter(|(name, ..)| wanted(name));
        let shared = shared.map(|(name, name_span, item)| entry(name, *name_span, item)).collect();
        let engine = Arc::new(engine_cx(self.request, self.user.clone()));
        let cx = BuildCx { engine, secrets: self.request.secrets.clone() };
        T::from_body(&cx.body(kind, kind, item.span(), shared, None), self.diagnostics)
    }

    fn scope(&mut self, item: &Item, only: &[String], except: &[String]) -> Scope {
        if !only.is_empty() && !except.is_empty() {
            let span = item.get("except").unwrap_or(item).span();
            self.error(span, "only one of `only` and `except` can be set");
        }
        for (key, list) in [("only", only), ("except", except)] {
            for (i, name) in list.iter().enumerate().filter(|(_, name)| !self.names.contains(name)).collect::<Vec<_>>()
            {
                let place = item
                    .get(key)
                    .map_or(item.span(), |list| list.items().and_then(|items| items.get(i)).unwrap_or(list).span());
                self.no_builder(name, place);
            }
        }
        Scope { only: only.to_vec(), except: except.to_vec() }
    }

    fn no_builder(&mut self, name: &str, span: Span) {
        let unknown = Diagnostic::error(format!("there is no builder named `{name}`")).at(span);
        self.diagnostics.push(unknown.did_you_mean(name, self.names.iter().map(String::as_str)));
    }

    fn overrides(&mut self, item: &Item) -> BTreeMap<String, Vec<Entry>> {
        let Some(item) = item.get("override") else { return BTreeMap::new() };
        let Some(builders) = item.entries() else {
            self.error(item.span(), format!("`override` must be an object, and it is {}", item.kind_name()));
            return BTreeMap::new();
        };
        let mut overrides = BTreeMap::new();
        for (name, name_span, item) in builders {
            if !self.names.contains(name) {
                self.no_builder(name, *name_span);
            } else if item.entries().is_none() {
                self.error(item.span(), format!("an override must be an object, and this is {}", item.kind_name()));
            } else {
                overrides.insert(name.clone(), entries(item, &[]));
            }
        }
        overrides
    }

    fn chains(&mut self, root: &Item) -> Vec<Vec<RawPost>> {
        let items = self.list(root, "post-processors");
        let chain = |item: &Item| match item {
            Item::Array(items, _) => items.iter().filter_map(|item| self.post(item)).collect(),
            single => self.post(single).into_iter().collect(),
        };
        items.iter().map(chain).collect()
    }

    /// A name alone stands for a post-processor without options.
    fn post(&mut self, item: &Item) -> Option<RawPost> {
        if let Some(kind) = item.text() {
            let scope = Scope { only: Vec::new(), except: Vec::new() };
            let (kind, name) = (kind.to_owned(), kind.to_owned());
            return Some(RawPost {
                kind,
                name,
                span: item.span(),
                keep_input_artifact: None,
                scope,
                entries: Vec::new(),
            });
        }
        let kind = self.kind(item, "post-processor")?;
        let options: PostOptions = self.common(item, &kind, &POST_KEYS, &["type"])?;
        let scope = self.scope(item, &options.only, &options.except);
        let name = options.name.unwrap_or_else(|| kind.clone());
        let entries = entries(item, &POST_KEYS);
        Some(RawPost {
            kind,
            name,
            span: item.span(),
            keep_input_artifact: options.keep_input_artifact,
            scope,
            entries,
        })
    }
}
