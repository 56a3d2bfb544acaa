//! What went wrong while doing something, as opposed to [`crate::Diagnostic`]: what is wrong with a
//! template. The kind decides heading and exit code; context is added on the way up.

use std::fmt;
use std::path::PathBuf;

use crate::{Diagnostics, Span};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The template or a command-line option is wrong.
    Config,
    /// A program, firmware or device of this machine is missing or unfit.
    Missing,
    /// Something that was given is not what it should be: wrong checksum, corrupt image, unreadable key.
    Input,
    /// This machine failed us: disk full, permission, port in use.
    Host,
    /// The guest did not do what it should: no SSH, panic, lost connection.
    Guest,
    /// A script or command that the template asked for failed.
    Script,
    /// A deadline passed.
    Timeout,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// A fault of ours.
    Internal,
}

impl Kind {
    pub fn heading(self) -> &'static str {
        match self {
            Kind::Config => "configuration error",
            Kind::Missing => "missing requirement",
            Kind::Input => "bad input",
            Kind::Host => "host error",
            Kind::Guest => "guest error",
            Kind::Script => "command failed",
            Kind::Timeout => "timed out",
            Kind::Interrupted => "interrupted",
            Kind::Internal => "internal error",
        }
    }

    /// Packer's users expect 1 for every error and interrupt.
    pub fn exit_code(self) -> u8 {
        1
    }
}

/// A failure with its story: what was being done (`context`, outermost last), what was seen
/// (`message`), what to try (`hints`), what can be looked at (`evidence`), where it was asked for.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    message: String,
    context: Vec<String>,
    hints: Vec<String>,
    evidence: Vec<PathBuf>,
    span: Option<Span>,
    diagnostics: Diagnostics,
}

impl Error {
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.to_string(),
            context: Vec::new(),
            hints: Vec::new(),
            evidence: Vec::new(),
            span: None,
            diagnostics: Diagnostics::default(),
        }))
    }

    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// A failure that is a list of findings about the template.
    pub fn diagnostics(diagnostics: Diagnostics) -> Self {
        let mut error = Self::new(Kind::Config, "the template has errors");
        error.0.diagnostics = diagnostics;
        error
    }

    /// Says what was being done when this happened.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.context.push(doing.to_string());
        self
    }

    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hints.push(hint.to_string());
        self
    }

    pub fn evidence(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.0.evidence.extend(files);
        self
    }

    /// The place in the template; the innermost one stays.
    pub fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What was seen, without the context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    pub fn evidence_files(&self) -> &[PathBuf] {
        &self.0.evidence
    }

    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    pub fn findings(&self) -> &Diagnostics {
        &self.0.diagnostics
    }

    /// An I/O failure on a path. A full disk, a missing file and a denied access get their own hints.
    pub fn io(doing: impl fmt::Display, source: &std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let error = Self::new(Kind::Host, source).context(doing);
        match source.kind() {
            E::StorageFull | E::QuotaExceeded => error.hint("free some space or choose another directory"),
            E::PermissionDenied => error.hint("check who may read and write there"),
            _ => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in self.0.context.iter().rev() {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Adds context to any result whose error becomes an [`Error`].
pub trait Context<T> {
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }
}
