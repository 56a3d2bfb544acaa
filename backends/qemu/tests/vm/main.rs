//! Real machines: the backend driven stage by stage, as the engine does it.

mod bench;
mod build;
mod bulk;
mod devices;
mod failures;
mod typing;
