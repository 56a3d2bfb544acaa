//! The ssh communicator against Debian's sshd.

mod connect;
mod files;
mod options;
mod routes;
mod sshd;
