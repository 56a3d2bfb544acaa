//! What a text asks for, without running it.

use super::parse::{Command, Node, Operand, Pipe, Term, parse};

/// The names in `user` calls, each once; none of a text that does not parse.
pub fn user_variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    if !text.contains("{{") || !text.contains("user") {
        return names;
    }
    let document = parse(text).unwrap_or_default();
    let mut see = |command: &Command| {
        if let [Operand { term: Term::Function(function), .. }, Operand { term: Term::String(name), .. }] =
            command.operands.as_slice()
            && function == "user"
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
