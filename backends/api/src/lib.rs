//! The lowest floor of the house: the traits a backend implements and the types that travel between
//! template, engine, backends and reporters. No I/O client lives here.

#![forbid(unsafe_code)]

pub mod account;
pub mod artifact;
pub mod backend;
pub mod body;
pub mod bridge;
pub mod comm;
pub mod cx;
pub mod data;
pub mod decode;
pub mod diag;
pub mod error;
pub mod event;
pub mod guest;
pub mod instance;
pub mod keyboard;
pub mod number;
pub mod options;
pub mod secret;
pub mod shape;
pub mod span;
pub mod testing;
pub mod undo;
pub mod value;

pub use account::Account;
pub use artifact::Artifact;
pub use async_trait::async_trait;
pub use backend::{Backend, Builder, Checkpoint, Facts, Input, Machine, Origin, Typing};
pub use body::{Body, Entry, Form, Interpolate, Node, Template};
pub use bridge::Bridge;
pub use comm::{CommError, Command, Communicator, Connector, Exit, Stream};
pub use cx::{Cx, Prompter, Settings};
pub use data::DataSource;
pub use decode::{Decode, Reader};
pub use diag::{Diagnostic, Diagnostics, Severity};
pub use error::{Error, Kind, Result};
pub use event::{Event, EventKind, Progress, Sink};
pub use guest::Guest;
pub use number::Number;
pub use options::{Field, Options, Schema};
pub use secret::{Secret, Secrets};
pub use shape::Shape;
pub use span::{FileId, SourceMap, Span, SpanTree};
pub use undo::{Undo, UndoId, UndoLog, Undoer};
pub use value::{Type, Value};
