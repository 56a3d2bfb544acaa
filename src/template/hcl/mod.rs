//! HCL2 as Packer uses it: text to tokens to syntax tree to plan.

mod builds;
pub mod config;
mod data;
mod extent;
mod files;
pub mod format;
mod json;
pub mod lexer;
pub mod load;
mod locals;
pub mod parser;
mod required;
pub mod requirements;
mod select;
mod steps;
pub mod syntax;
mod types;
mod validation;
mod variables;
pub(crate) mod version;

/// Room that one more level of nesting is sure to find on the stack, and what is added when it is
/// not there.
const STACK_LEFT: usize = 128 * 1024;
const STACK_MORE: usize = 1024 * 1024;

/// Runs something that recurses with the nesting of a template.
pub fn with_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_LEFT, STACK_MORE, run)
}
