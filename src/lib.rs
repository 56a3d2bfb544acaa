//! Bakehouse: one template, every image. The library behind the `bakehouse` binary.

#![forbid(unsafe_code)]

pub mod cli;
pub mod engine;
pub mod post;
pub mod provision;
pub mod reference;
pub mod registry;
pub mod report;
pub mod script;
pub mod template;
