//! What several backends share.

#![forbid(unsafe_code)]

pub mod boot_command;
pub mod cloud_init;
pub mod communicator;
pub mod digest;
pub mod disks;
pub mod download;
pub mod extents;
pub mod floppy;
pub mod glob;
pub mod http;
pub mod imds;
pub mod iso9660;
pub mod media;
pub mod output;
pub mod ports;
pub mod process;
pub mod shelf;
pub mod ssh;
pub mod tree;
pub mod undo;
pub mod workspace;
