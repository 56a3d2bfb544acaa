//! The ssh communicator: options, keys, the way to the guest, the session, file transfer.

mod algorithms;
mod auth;
mod clear;
mod connect;
mod dial;
mod exec;
mod hostkeys;
mod key;
mod landing;
mod options;
mod peer;
mod progress;
mod scp;
mod seen;
mod session;
mod sftp;
mod socks;
mod tarball;
mod tree;
mod tunnel;

pub use connect::{SshConnector, Target};
pub use key::{GeneratedKey, KeyError, KeyKind};
pub use options::{SshOptions, TransferMethod};
pub use session::SshSession;
