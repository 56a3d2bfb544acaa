//! What was last seen of a guest that does not let us in yet, and what to try about it.

use bakehouse_api::{Error, Kind};
use std::fmt;
use std::time::Duration;

use super::auth::Denied;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    #[default]
    Nothing,
    Refused,
    Unreachable(String),
    /// Connected, and not a byte came.
    Silent,
    /// Connected, and closed before a banner came.
    Closed,
    NotSsh(String),
    Handshake {
        banner: String,
        reason: String,
    },
    HostKey {
        banner: String,
        reason: String,
    },
    Denied {
        banner: String,
        user: String,
        denied: Denied,
    },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing answered at all"),
            Self::Refused => f.write_str("connections are refused"),
            Self::Unreachable(reason) => write!(f, "it cannot be reached: {reason}"),
            Self::Silent => f.write_str("the port accepts connections but sends no SSH banner"),
            Self::Closed => f.write_str("the port accepts connections and closes them without an SSH banner"),
            Self::NotSsh(line) => write!(f, "what answers there is not SSH: it sent {line:?}"),
            Self::Handshake { banner, reason } => write!(f, "{banner:?} answered, but the handshake failed: {reason}"),
            Self::HostKey { banner, reason } => write!(f, "{banner:?} answered, but {reason}"),
            Self::Denied { banner, user, denied } => {
                write!(f, "{banner:?} answered, but the login of {user:?} failed (tried: {}", denied.tried.join(", "))?;
                if !denied.offered.is_empty() {
                    write!(f, "; the server takes: {}", denied.offered.join(", "))?;
                }
                if denied.hung_up {
                    f.write_str("; then it hung up")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Seen {
    fn hint(&self) -> &'static str {
        match self {
            Self::Nothing | Self::Unreachable(_) => {
                "check that the guest gets this address, and that nothing between here and there blocks the port"
            }
            Self::Refused => "sshd is not running there: check that the guest starts it, and that `ssh_port` is right",
            Self::Silent | Self::Closed => {
                "the guest was still booting, has no network, or starts no sshd: look at its screen and serial log; \
                 a slow guest needs a longer `ssh_timeout`"
            }
            Self::NotSsh(_) => "another service listens on this port: check `ssh_host` and `ssh_port`",
            Self::Handshake { .. } => "look at the guest's sshd log",
            Self::HostKey { .. } => {
                "the guest did not take over its seed, or another machine answers at this address: look at the serial log"
            }
            Self::Denied { denied, .. } if denied.hung_up => {
                "sshd allows few tries in a connection: keep fewer keys in the ssh-agent, or name the one key to use"
            }
            Self::Denied { .. } => {
                "check `ssh_username`, and that the guest has this user with this key or password (what the installer or \
                 cloud-init made of it is in the serial log)"
            }
        }
    }

    /// The deadline passed.
    pub fn timed_out(&self, place: &str, after: Duration) -> Error {
        Error::new(Kind::Timeout, format!("gave up waiting for SSH on {place} after {after:?}: {self}"))
            .hint(self.hint())
    }

    /// The attempts are used up.
    pub fn gave_up(&self, place: &str, attempts: u32) -> Error {
        Error::new(Kind::Guest, format!("gave up on SSH at {place} after {attempts} attempts: {self}"))
            .hint(self.hint())
            .hint("set `ssh_timeout` to keep trying for that long, or `ssh_handshake_attempts` to try more often")
    }

    /// Another try would end the same.
    pub fn refused(&self, place: &str) -> Error {
        Error::new(Kind::Guest, format!("cannot use SSH on {place}: {self}")).hint(self.hint())
    }
}
