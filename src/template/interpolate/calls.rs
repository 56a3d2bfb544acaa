//! What a text asks for, without running it.

use std::collections::BTreeMap;

use bakehouse_api::Interpolate;

use super::EngineError;
use super::lex::{Kind, Piece, pieces};
use super::parse::{Command, Node, Operand, Pipe, Term, parse, pipe};

/// A piece of a text without control structures.
pub enum Part<'t> {
    Text(String),
    Action { source: &'t str, pipe: Pipe },
}

/// None of a text with variables, conditions, loops or named templates: its pieces depend on each other.
pub fn parts(text: &str) -> Result<Option<Vec<Part<'_>>>, EngineError> {
    parse(text)?;
    let mut parts = Vec::new();
    for piece in pieces(text)? {
        let (at, end, tokens) = match piece {
            Piece::Text(text) => {
                parts.push(Part::Text(text));
                continue;
            }
            Piece::Action { at, end, tokens } => (at, end, tokens),
        };
        let control = ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];
        let keyword = |kind: &Kind| matches!(kind, Kind::Identifier(word) if control.contains(&word.as_str()));
        let alone = !tokens.iter().any(|token| matches!(token.kind, Kind::Variable(_)));
        if tokens.first().is_some_and(|token| keyword(&token.kind)) || !alone {
            return Ok(None);
        }
        parts.push(Part::Action { source: &text[at..end], pipe: pipe(tokens, at)? });
    }
    Ok(Some(parts))
}

/// Renders what does not wait for the machine or for the fields of an option; the rest stays as it is.
pub fn settle(text: &str, engine: &dyn Interpolate) -> String {
    let none = BTreeMap::new();
    let Ok(Some(parts)) = parts(text) else { return text.to_owned() };
    let settled = parts.into_iter().map(|part| match part {
        Part::Text(text) => text,
        Part::Action { source, pipe } if waits(&pipe) => source.to_owned(),
        Part::Action { source, .. } => engine.render(source, &none).unwrap_or_else(|_| source.to_owned()),
    });
    settled.collect()
}

fn waits(pipe: &Pipe) -> bool {
    let mut found = false;
    in_pipe(pipe, &mut |command: &Command| {
        found |= command.operands.iter().any(|operand| match &operand.term {
            Term::Dot => true,
            Term::Function(name) => name == "build",
            _ => false,
        });
    });
    found
}

/// The names in `user` calls, each once; none of a text that does not parse.
pub fn user_variables(text: &str) -> Vec<String> {
    called_with("user", text)
}

/// The texts that `wanted` is called with, each once; none of a text that does not parse.
pub fn called_with(wanted: &str, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    if !text.contains("{{") || !text.contains(wanted) {
        return names;
    }
    let document = parse(text).unwrap_or_default();
    let mut see = |command: &Command| {
        if let [Operand { term: Term::Function(function), .. }, Operand { term: Term::String(name), .. }] =
            command.operands.as_slice()
            && function == wanted
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    };
    for nodes in std::iter::once(&document.nodes).chain(document.named.values()) {
        commands(nodes, &mut see);
    }
    names
}

fn commands(nodes: &[Node], see: &mut dyn FnMut(&Command)) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue | Node::Include { with: None, .. } => {}
            Node::Action(pipe) | Node::Include { with: Some(pipe), .. } => in_pipe(pipe, see),
            Node::If { test, then, otherwise }
            | Node::With { test, then, otherwise }
            | Node::Range { over: test, body: then, otherwise } => {
                in_pipe(test, see);
                commands(then, see);
                commands(otherwise, see);
            }
        }
    }
}

fn in_pipe(pipe: &Pipe, see: &mut dyn FnMut(&Command)) {
    for command in &pipe.commands {
        see(command);
        for operand in &command.operands {
            if let Term::Pipe(inner) = &operand.term {
                in_pipe(inner, see);
            }
        }
    }
}
