//! What several backends share.

#![forbid(unsafe_code)]

pub mod communicator;
pub mod floppy;
pub mod glob;
pub mod iso9660;
pub mod media;
pub mod process;
pub mod ssh;
pub mod tree;
pub mod undo;
