//! The ssh communicator against Debian's sshd.

mod connect;
mod files;
mod options;
mod password;
mod routes;
mod sshd;
