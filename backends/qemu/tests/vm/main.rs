//! Real machines: the backend driven stage by stage, as the engine does it.

#![allow(clippy::unwrap_used)] // the helpers of tests, which clippy does not see as such

mod bench;
mod build;
mod bulk;
mod devices;
mod failures;
mod screen;
mod typing;
