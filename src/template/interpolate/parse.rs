//! From tokens to what is to be done.

use std::collections::BTreeMap;

use super::EngineError;
use super::lex::{Kind, Piece, Token, pieces};

/// Deeper nesting is no template that somebody wrote.
const DEPTH_LIMIT: usize = 64;

/// A text and the templates that it defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub nodes: Vec<Node>,
    pub named: BTreeMap<String, Vec<Node>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Text(String),
    /// Shows the value, unless it only sets a variable.
    Action(Pipe),
    If {
        test: Pipe,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        test: Pipe,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// `template` or `block`.
    Include {
        name: String,
        with: Option<Pipe>,
        at: usize,
    },
    Break,
    Continue,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pipe {
    pub variables: Vec<String>,
    /// `=` instead of `:=`.
    pub assigns: bool,
    pub commands: Vec<Command>,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub operands: Vec<Operand>,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    pub term: Term,
    /// `.A.B` behind it.
    pub fields: Vec<String>,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Dot,
    Nil,
    Function(String),
    Variable(String),
    String(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Pipe(Pipe),
}

pub fn parse(text: &str) -> Result<Document, EngineError> {
    let pieces = pieces(text)?.into_iter();
    let mut parser = Parser { pieces, end: text.len(), depth: 0, loops: 0, named: BTreeMap::new() };
    let (nodes, closing) = parser.list()?;
    match closing {
        None => Ok(Document { nodes, named: parser.named }),
        Some(Closing { word, at, .. }) => Err(EngineError::new(at, format!("there is nothing open for `{word}`"))),
    }
}

/// `end` or `else`, with what follows in `else if`.
struct Closing {
    word: String,
    at: usize,
    rest: Vec<Token>,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    end: usize,
    depth: usize,
    loops: usize,
    named: BTreeMap<String, Vec<Node>>,
}

impl Parser {
    /// Nodes up to an `end` or `else` that belongs to an action outside.
    fn list(&mut self) -> Result<(Vec<Node>, Option<Closing>), EngineError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens, .. } => (at, tokens),
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Identifier(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" if tokens.len() > 1 => return Err(EngineError::new(tokens[1].at, "`end` stands alone")),
                "end" | "else" => {
                    let rest = tokens[1..].to_vec();
                    return Ok((nodes, Some(Closing { word: keyword, at, rest })));
                }
                "if" | "with" | "range" => nodes.push(self.control(&keyword, at, tokens)?),
                "break" | "continue" if tokens.len() == 1 => {
                    if self.loops == 0 {
                        return Err(EngineError::new(at, format!("`{keyword}` stands outside of a `range`")));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" => {
                    if self.depth > 0 {
                        return Err(EngineError::new(at, "`define` stands outside of everything else"));
                    }
                    self.definition(at, tokens)?;
                }
                "template" => nodes.push(include(at, tokens)?),
                "block" => {
                    nodes.push(include(at, tokens.clone())?);
                    self.definition(at, tokens)?;
                }
                _ => nodes.push(Node::Action(pipe(tokens, at)?)),
            }
        }
        Ok((nodes, None))
    }

    /// The body of a `define` or `block`, up to its `end`.
    fn definition(&mut self, at: usize, tokens: Vec<Token>) -> Result<(), EngineError> {
        let keyword = if tokens[0].kind == Kind::Identifier("define".into()) { "define" } else { "block" };
        let Some(Kind::String(name)) = tokens.get(1).map(|token| &token.kind) else {
            return Err(EngineError::new(at, format!("`{keyword}` needs a name in quotes")));
        };
        if let Some(extra) = tokens.get(2).filter(|_| keyword == "define") {
            return Err(EngineError::new(extra.at, "this does not belong here"));
        }
        self.enter(keyword, at)?;
        // A loop around a `block` is not one that its body could leave.
        let loops = std::mem::take(&mut self.loops);
        let (nodes, closing) = self.list()?;
        self.loops = loops;
        self.depth -= 1;
        match closing {
            Some(closing) if closing.word == "end" => {
                self.named.insert(name.clone(), nodes);
                Ok(())
            }
            Some(closing) => Err(EngineError::new(closing.at, format!("`{keyword}` has no `else`"))),
            None => Err(self.unclosed(keyword, at)),
        }
    }

    fn enter(&mut self, keyword: &str, at: usize) -> Result<(), EngineError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(EngineError::new(at, format!("`{keyword}` is nested deeper than {DEPTH_LIMIT} levels")));
        }
        Ok(())
    }

    fn control(&mut self, keyword: &str, at: usize, mut tokens: Vec<Token>) -> Result<Node, EngineError> {
        tokens.remove(0);
        let test = pipe(tokens, at)?;
        self.enter(keyword, at)?;
        let is_loop = usize::from(keyword == "range");
        self.loops += is_loop;
        let (then, closing) = self.list()?;
        self.loops -= is_loop;
        let otherwise = match closing {
            Some(closing) if closing.word == "else" => self.otherwise(keyword, at, closing)?,
            Some(_) => Vec::new(),
            None => return Err(self.unclosed(keyword, at)),
        };
        self.depth -= 1;
        Ok(match keyword {
            "if" => Node::If { test, then, otherwise },
            "with" => Node::With { test, then, otherwise },
            _ => Node::Range { over: test, body: then, otherwise },
        })
    }

    /// What follows an `else`, up to the `end`. `else if` is an `if` inside that shares the `end`.
    fn otherwise(&mut self, keyword: &str, at: usize, closing: Closing) -> Result<Vec<Node>, EngineError> {
        match closing.rest.first().map(|token| (&token.kind, token.at)) {
            None => {}
            Some((Kind::Identifier(word), _)) if matches!(word.as_str(), "if" | "with") && keyword != "range" => {
                let word = word.clone();
                return Ok(vec![self.control(&word, closing.at, closing.rest)?]);
            }
            Some((_, at)) => return Err(EngineError::new(at, "after `else` comes `}}` or an `if`")),
        }
        match self.list()? {
            (_, Some(closing)) if closing.word == "else" => {
                Err(EngineError::new(closing.at, format!("`{keyword}` has a second `else`")))
            }
            (nodes, Some(_)) => Ok(nodes),
            (_, None) => Err(self.unclosed(keyword, at)),
        }
    }

    fn unclosed(&self, keyword: &str, at: usize) -> EngineError {
        EngineError::new(at, format!("`{keyword}` has no `{{{{end}}}}` up to byte {}", self.end))
    }
}

/// `template "name"` or `template "name" pipe`.
fn include(at: usize, tokens: Vec<Token>) -> Result<Node, EngineError> {
    let mut tokens = tokens.into_iter().skip(1);
    let Some(Token { kind: Kind::String(name), .. }) = tokens.next() else {
        return Err(EngineError::new(at, "the name of a template stands in quotes"));
    };
    let rest: Vec<Token> = tokens.collect();
    let with = if rest.is_empty() { None } else { Some(pipe(rest, at)?) };
    Ok(Node::Include { name, with, at })
}

pub fn pipe(tokens: Vec<Token>, at: usize) -> Result<Pipe, EngineError> {
    let mut tokens = Tokens { list: tokens.into_iter().peekable(), at, depth: 0 };
    let pipe = tokens.pipe()?;
    match tokens.list.next() {
        None => Ok(pipe),
        Some(token) => Err(EngineError::new(token.at, "this does not belong here")),
    }
}

struct Tokens {
    list: std::iter::Peekable<std::vec::IntoIter<Token>>,
    at: usize,
    depth: usize,
}

impl Tokens {
    fn peek(&mut self) -> Option<&Kind> {
        self.list.peek().map(|token| &token.kind)
    }

    fn place(&mut self) -> usize {
        self.list.peek().map_or(self.at, |token| token.at)
    }

    fn pipe(&mut self) -> Result<Pipe, EngineError> {
        let at = self.place();
        let (variables, assigns) = self.declaration()?;
        let mut commands = vec![self.command()?];
        while self.list.next_if(|token| token.kind == Kind::Pipe).is_some() {
            commands.push(self.command()?);
        }
        Ok(Pipe { variables, assigns, commands, at })
    }

    /// `$x :=`, `$x =` or `$i, $x :=`.
    fn declaration(&mut self) -> Result<(Vec<String>, bool), EngineError> {
        let ahead: Vec<Kind> = self.list.clone().take(4).map(|token| token.kind).collect();
        let (names, operator) = match ahead.as_slice() {
            [Kind::Variable(a), operator @ (Kind::Declare | Kind::Assign), ..] => (vec![a.clone()], operator),
            [Kind::Variable(a), Kind::Comma, Kind::Variable(b), operator @ (Kind::Declare | Kind::Assign)] => {
                (vec![a.clone(), b.clone()], operator)
            }
            _ => return Ok((Vec::new(), false)),
        };
        let assigns = *operator == Kind::Assign;
        for _ in 0..names.len() * 2 {
            self.list.next();
        }
        Ok((names, assigns))
    }

    fn command(&mut self) -> Result<Command, EngineError> {
        let at = self.place();
        let mut operands = Vec::new();
        while let Some(kind) = self.peek() {
            if matches!(kind, Kind::Pipe | Kind::Close) {
                break;
            }
            operands.push(self.operand()?);
        }
        if operands.is_empty() {
            return Err(EngineError::new(at, "a value is missing here"));
        }
        Ok(Command { operands, at })
    }

    fn operand(&mut self) -> Result<Operand, EngineError> {
        let Some(token) = self.list.next() else { return Err(EngineError::new(self.at, "a value is missing here")) };
        let at = token.at;
        let mut fields = Vec::new();
        let term = match token.kind {
            Kind::Identifier(word) => match word.as_str() {
                "true" | "false" => Term::Bool(word == "true"),
                "nil" => Term::Nil,
                _ => Term::Function(word),
            },
            Kind::Field(name) => {
                fields.push(name);
                Term::Dot
            }
            Kind::Variable(name) => Term::Variable(name),
            Kind::Dot => Term::Dot,
            Kind::String(text) => Term::String(text),
            Kind::Int(n) => Term::Int(n),
            Kind::Float(n) => Term::Float(n),
            Kind::Open => Term::Pipe(self.parenthesis(at)?),
            Kind::Pipe | Kind::Declare | Kind::Assign | Kind::Comma | Kind::Close => {
                return Err(EngineError::new(at, "a value is missing before this"));
            }
        };
        while let Some(token) = self.list.next_if(|token| !token.spaced && matches!(token.kind, Kind::Field(_))) {
            if let Kind::Field(name) = token.kind {
                fields.push(name);
            }
        }
        Ok(Operand { term, fields, at })
    }

    fn parenthesis(&mut self, at: usize) -> Result<Pipe, EngineError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(EngineError::new(at, format!("parentheses are nested deeper than {DEPTH_LIMIT} levels")));
        }
        let pipe = self.pipe()?;
        self.depth -= 1;
        match self.list.next().map(|token| token.kind) {
            Some(Kind::Close) => Ok(pipe),
            _ => Err(EngineError::new(at, "this parenthesis is not closed")),
        }
    }
}
