//! What several backends share.

#![forbid(unsafe_code)]

pub mod process;
pub mod undo;
