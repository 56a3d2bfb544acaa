//! Locals and data sources: a graph, evaluated in the order of its references.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bakehouse_api::{Diagnostic, Span, Type, Value};

use super::config::{Blocks, Config, Declared, Local, check_attributes_only, check_options};
use super::load::Session;
use super::syntax::{Attribute, Block, Expr, Name, Step};
use super::variables::bool_option;
use super::{builds, data};
use crate::template::eval::{Scope, body_references, references};

/// What is made from a data source that is not built in, whose value nobody knows.
#[derive(Debug, Default)]
pub struct Tainted(BTreeMap<Key, (String, Span)>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Local(String),
    Data(String, String),
}

impl Tainted {
    /// The type and the place of the data source that a reference leads to.
    pub fn source_of(&self, root: &str, steps: &[Step]) -> Option<&(String, Span)> {
        if self.0.is_empty() { None } else { self.0.get(&key_of(root, steps)?) }
    }
}

struct Node {
    name: Name,
    key: Key,
    what: What,
}

enum What {
    /// An attribute of `locals`.
    Attribute(Arc<Attribute>),
    /// A `local` or `data` block.
    Block(Arc<Block>),
}

impl Node {
    fn references<'n>(&'n self, seen: &mut dyn FnMut(&'n str, &'n [Step], &'n Expr)) {
        match &self.what {
            What::Attribute(attribute) => references(&attribute.value, seen),
            What::Block(block) => body_references(&block.body, seen),
        }
    }
}

fn key_of(root: &str, steps: &[Step]) -> Option<Key> {
    match (root, steps) {
        ("local", [Step::Attribute(name), ..]) => Some(Key::Local(name.text.clone())),
        ("data", [Step::Attribute(kind), Step::Attribute(name), ..]) => {
            Some(Key::Data(kind.text.clone(), name.text.clone()))
        }
        _ => None,
    }
}

pub fn load(session: &mut Session<'_>, blocks: &Blocks, scope: &mut Scope) -> (Vec<Local>, Tainted) {
    let nodes = nodes(session, blocks);
    let (order, circular) = order(session, &nodes);
    let mut graph = Graph { nodes, order, circular, read: HashSet::new() };
    if session.request.fetch.is_some() && graph.asks_the_world() {
        graph.read = session.quietly(|session| graph.needed(session, blocks, scope));
    }
    graph.evaluate(session, scope)
}

/// Locals and data sources in the order in which they can be evaluated.
struct Graph {
    nodes: Vec<Node>,
    order: Vec<usize>,
    circular: HashSet<usize>,
    /// The data sources to read from the world.
    read: HashSet<usize>,
}

impl Graph {
    fn asks_the_world(&self) -> bool {
        self.nodes.iter().any(|node| matches!(&node.key, Key::Data(kind, _) if data::is_remote(kind)))
    }

    /// What the selected builds lead to. Everything is evaluated with unknown data first, as names of
    /// builds may be computed.
    fn needed(&self, session: &mut Session<'_>, blocks: &Blocks, scope: &Scope) -> HashSet<usize> {
        let mut scope = scope.clone();
        self.evaluate(session, &mut scope);
        let mut config = Config::new(scope, session.host.clone());
        let selected = builds::selected(session, blocks, &mut config);
        let index: HashMap<&Key, usize> = self.nodes.iter().enumerate().map(|(i, node)| (&node.key, i)).collect();
        let mut needed = HashSet::new();
        let mut pending = Vec::new();
        for block in selected {
            body_references(&block.body, &mut |root, steps, _| pending.extend(found(&index, root, steps)));
        }
        while let Some(next) = pending.pop() {
            if needed.insert(next) {
                self.nodes[next].references(&mut |root, steps, _| pending.extend(found(&index, root, steps)));
            }
        }
        needed
    }

    fn evaluate(&self, session: &mut Session<'_>, scope: &mut Scope) -> (Vec<Local>, Tainted) {
        let mut tainted = Tainted::default();
        let mut locals = Vec::new();
        for &index in &self.order {
            let node = &self.nodes[index];
            node.references(&mut |root, steps, _| {
                if let Some(source) = tainted.source_of(root, steps).cloned() {
                    tainted.0.insert(node.key.clone(), source);
                }
            });
            // What failed is unknown from here on, so that it is reported once.
            let failed = || Value::unknown(Type::Any);
            match (&node.key, &node.what) {
                (Key::Data(kind, name), _) if self.circular.contains(&index) => scope.set_data(kind, name, failed()),
                (Key::Local(name), _) if self.circular.contains(&index) => scope.set("local", name, failed()),
                (Key::Data(kind, name), What::Block(block)) => {
                    if data::is_foreign(kind) {
                        tainted.0.insert(node.key.clone(), (kind.clone(), block.header()));
                    }
                    let value = data::value(session, kind, block, scope, self.read.contains(&index));
                    let value = value.unwrap_or_else(failed);
                    session.partly_unknown |= value.has_unknown();
                    scope.set_data(kind, name, value);
                }
                (Key::Local(name), what) => {
                    let value = local(session, what, scope).unwrap_or_else(failed);
                    session.remember(&value);
                    locals.push(Local { name: name.clone(), value: value.clone() });
                    scope.set("local", name, value);
                }
                (Key::Data(..), What::Attribute(_)) => {}
            }
        }
        locals.sort_by(|a, b| a.name.cmp(&b.name));
        (locals, tainted)
    }
}

fn found(index: &HashMap<&Key, usize>, root: &str, steps: &[Step]) -> Option<usize> {
    index.get(&key_of(root, steps)?).copied()
}

fn nodes(session: &mut Session<'_>, blocks: &Blocks) -> Vec<Node> {
    let (mut local_names, mut data_names) = (Declared::default(), Declared::default());
    let mut nodes = Vec::new();
    let diagnostics = &mut session.diagnostics;
    for attribute in blocks.locals.iter().flat_map(|block| block.body.attributes()) {
        let name = &attribute.name;
        if local_names.declare("local", &name.text, name.span, diagnostics) {
            let key = Key::Local(name.text.clone());
            nodes.push(Node { name: name.clone(), key, what: What::Attribute(attribute.clone()) });
        }
    }
    for block in &blocks.locals {
        check_attributes_only(block, diagnostics);
    }
    for block in &blocks.local {
        check_options(block, &["expression", "sensitive"], &[], diagnostics);
        let [name] = block.labels.as_slice() else { continue };
        if local_names.declare("local", &name.text, name.span, diagnostics) {
            let key = Key::Local(name.text.clone());
            nodes.push(Node { name: name.clone(), key, what: What::Block(block.clone()) });
        }
    }
    for block in &blocks.data {
        let [kind, name] = block.labels.as_slice() else { continue };
        let id = format!("{}.{}", kind.text, name.text);
        if data_names.declare("data source", &id, name.span, diagnostics) {
            let key = Key::Data(kind.text.clone(), name.text.clone());
            let name = Name { text: id, span: name.span };
            nodes.push(Node { name, key, what: What::Block(block.clone()) });
        }
    }
    nodes
}

/// Depth first with a stack of its own: chains may be long. Also those that refer to each other in
/// a circle, which is reported.
fn order(session: &mut Session<'_>, nodes: &[Node]) -> (Vec<usize>, HashSet<usize>) {
    let index: HashMap<&Key, usize> = nodes.iter().enumerate().map(|(i, node)| (&node.key, i)).collect();
    let needs: Vec<Vec<usize>> = nodes
        .iter()
        .map(|node| {
            let mut needs = Vec::new();
            node.references(&mut |root, steps, _| needs.extend(key_of(root, steps).and_then(|key| index.get(&key))));
            needs
        })
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    let mut circular = HashSet::new();
    let mut state = vec![State::New; nodes.len()];
    for start in 0..nodes.len() {
        let mut path = vec![(start, 0usize)];
        if state[start] != State::New {
            continue;
        }
        state[start] = State::Open;
        while let Some((node, next)) = path.last_mut() {
            let Some(&need) = needs[*node].get(*next) else {
                state[*node] = State::Done;
                order.push(*node);
                path.pop();
                continue;
            };
            *next += 1;
            match state[need] {
                State::Done => {}
                State::New => {
                    state[need] = State::Open;
                    path.push((need, 0));
                }
                State::Open => {
                    let from = path.iter().position(|(node, _)| *node == need).unwrap_or(0);
                    let ring: Vec<usize> = path[from..].iter().map(|(node, _)| *node).collect();
                    report_cycle(session, nodes, &ring);
                    circular.extend(ring);
                }
            }
        }
    }
    (order, circular)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

fn report_cycle(session: &mut Session<'_>, nodes: &[Node], ring: &[usize]) {
    let ring: Vec<&Node> = ring.iter().map(|node| &nodes[*node]).collect();
    let Some(first) = ring.first() else { return };
    let name = |node: &Node| match &node.key {
        Key::Local(name) => format!("local.{name}"),
        Key::Data(kind, name) => format!("data.{kind}.{name}"),
    };
    let names: Vec<String> = ring.iter().chain([first]).map(|node| name(node)).collect();
    let mut error = Diagnostic::error("these values refer to each other in a circle")
        .at(first.name.span)
        .detail(names.join(" -> "));
    for node in ring.iter().skip(1) {
        error = error.related(node.name.span, "by way of this one");
    }
    session.diagnostics.push(error);
}

fn local(session: &mut Session<'_>, what: &What, scope: &Scope) -> Option<Value> {
    match what {
        What::Attribute(attribute) => session.evaluate(|e| e.eval(&attribute.value, scope)),
        What::Block(block) => {
            let sensitive = bool_option(session, block, "sensitive");
            let Some(expression) = block.body.attribute("expression") else {
                session.error(block.header(), "`local` needs an `expression`");
                return None;
            };
            session.evaluate(|e| e.eval(&expression.value, scope)).map(|value| value.sensitive(sensitive))
        }
    }
}
