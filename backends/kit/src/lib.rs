//! What several backends share.

#![forbid(unsafe_code)]

pub mod communicator;
pub mod process;
pub mod ssh;
pub mod undo;
