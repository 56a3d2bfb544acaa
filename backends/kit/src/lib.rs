#![forbid(unsafe_code)]

pub mod communicator;
pub mod ssh;
