//! The syntax tree. Chains that are written flat (`a + b + c`, `a.b.c`, `!!a`) are kept flat, so that
//! only true nesting makes the tree deep.

use std::sync::Arc;

use bakehouse_api::{Span, Value};

/// What stands between the braces of a block, or in a file, in order.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub items: Vec<Item>,
}

#[derive(Clone, Debug)]
pub enum Item {
    Attribute(Arc<Attribute>),
    Block(Arc<Block>),
}

impl Body {
    pub fn attributes(&self) -> impl Iterator<Item = &Arc<Attribute>> {
        self.items.iter().filter_map(|item| match item {
            Item::Attribute(attribute) => Some(attribute),
            Item::Block(_) => None,
        })
    }

    pub fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.items.iter().filter_map(|item| match item {
            Item::Block(block) => Some(block),
            Item::Attribute(_) => None,
        })
    }

    pub fn attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        self.attributes().find(|attribute| attribute.name.text == name)
    }
}

#[derive(Clone, Debug)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// `name = value`
#[derive(Debug)]
pub struct Attribute {
    pub name: Name,
    pub value: Expr,
}

/// `kind "label" "label" { ... }`
#[derive(Debug)]
pub struct Block {
    pub kind: Name,
    pub labels: Vec<Name>,
    pub body: Body,
}

impl Block {
    /// Kind and labels.
    pub fn header(&self) -> Span {
        self.labels.last().map_or(self.kind.span, |label| self.kind.span.to(label.span))
    }
}

#[derive(Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug)]
pub enum ExprKind {
    /// A number, `true`, `false` or `null`.
    Literal(Value),
    /// `"..."` or a heredoc.
    Template(Vec<Part>),
    /// The first name of `var.x`, or an iterator.
    Variable(String),
    Tuple(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    /// A bare word as an object's key: the word itself, not a variable.
    Key(String),
    Group(Box<Expr>),
    /// Innermost last: `!-x` is `[Not, Minus]`.
    Unary(Vec<UnaryOp>, Box<Expr>),
    /// Operators of one precedence, from left to right.
    Binary(Box<Expr>, Vec<(BinaryOp, Expr)>),
    Conditional(Box<Conditional>),
    For(Box<For>),
    Call(Box<Call>),
    Traverse(Box<Expr>, Vec<Step>),
}

#[derive(Debug)]
pub struct Conditional {
    pub condition: Expr,
    pub then: Expr,
    pub otherwise: Expr,
}

#[derive(Debug)]
pub struct For {
    pub key: Option<Name>,
    pub value: Name,
    pub collection: Expr,
    pub result: ForResult,
    pub condition: Option<Expr>,
}

#[derive(Debug)]
pub enum ForResult {
    Tuple(Expr),
    Object { key: Expr, value: Expr, group: bool },
}

#[derive(Debug)]
pub struct Call {
    pub name: Name,
    pub args: Vec<Expr>,
    /// The last argument stands for many: `f(list...)`.
    pub expand: bool,
}

/// What follows a value.
#[derive(Debug)]
pub enum Step {
    /// `.name`
    Attribute(Name),
    /// `[key]`
    Index(Box<Expr>, Span),
    /// `.0`
    Legacy(String, Span),
    /// `.*`: only the attributes behind it are taken of each element.
    AttributeSplat(Span),
    /// `[*]`: everything behind it is.
    Splat(Span),
}

impl Step {
    pub fn span(&self) -> Span {
        match self {
            Step::Attribute(name) => name.span,
            Step::Index(_, span) | Step::Legacy(_, span) | Step::AttributeSplat(span) | Step::Splat(span) => *span,
        }
    }
}

#[derive(Debug)]
pub enum Part {
    /// Escapes are resolved.
    Text(String),
    Interpolation(Expr),
    If(Box<IfPart>),
    For(Box<ForPart>),
}

#[derive(Debug)]
pub struct IfPart {
    pub condition: Expr,
    pub then: Vec<Part>,
    pub otherwise: Vec<Part>,
}

#[derive(Debug)]
pub struct ForPart {
    pub key: Option<Name>,
    pub value: Name,
    pub collection: Expr,
    pub body: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    Not,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// Loosest first; operators of one level associate to the left.
pub const PRECEDENCE: [&[(&str, BinaryOp)]; 6] = [
    &[("||", BinaryOp::Or)],
    &[("&&", BinaryOp::And)],
    &[("==", BinaryOp::Equal), ("!=", BinaryOp::NotEqual)],
    &[("<", BinaryOp::Less), ("<=", BinaryOp::LessEqual), (">", BinaryOp::Greater), (">=", BinaryOp::GreaterEqual)],
    &[("+", BinaryOp::Add), ("-", BinaryOp::Subtract)],
    &[("*", BinaryOp::Multiply), ("/", BinaryOp::Divide), ("%", BinaryOp::Modulo)],
];

/// A plain word, as an iterator or a type is named.
pub fn word(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Variable(word) | ExprKind::Key(word) => Some(word),
        _ => None,
    }
}
