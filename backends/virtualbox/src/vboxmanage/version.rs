//! Which VirtualBox is there, and what it knows.

use std::fmt;

/// The oldest that this backend knows how to talk to.
pub const OLDEST: Version = Version { major: 6, minor: 1, patch: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// From `--version`, which Debian's wrapper puts below a warning about missing drivers:
    /// `7.2.22_Debianr175245`.
    pub fn parse(stdout: &str) -> Option<Self> {
        stdout.lines().rev().find_map(Self::line)
    }

    fn line(line: &str) -> Option<Self> {
        let mut parts = line.trim().splitn(3, '.');
        let (major, minor, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()?, patch: rest[..digits].parse().ok()? })
    }

    pub fn has(self, feature: Feature) -> bool {
        let (major, minor) = feature.since();
        (self.major, self.minor) >= (major, minor)
    }
}

/// What older versions lack or spell otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `--audio-driver` and `--audio-enabled` instead of `--audio`.
    AudioDriver,
    /// The sound systems `default` and `was`.
    AudioDefault,
    Tpm,
    SecureBoot,
    /// The guest reaches listeners on this machine's loopback address only where that is asked for.
    LocalhostReachable,
    /// `createvm --platform-architecture`.
    Architecture,
}

impl Feature {
    pub fn since(self) -> (u32, u32) {
        match self {
            Self::AudioDriver | Self::AudioDefault | Self::Tpm | Self::SecureBoot | Self::LocalhostReachable => (7, 0),
            Self::Architecture => (7, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32, patch: u32) -> Version {
        Version { major, minor, patch }
    }

    #[test]
    fn versions_are_found_below_warnings() {
        let debian = "WARNING: The character device /dev/vboxdrv does not exist.\n\
                      \t Please install the virtualbox-dkms package and the appropriate\n\
                      \t headers, most likely linux-headers-amd64.\n\n\
                      \t You will not be able to start VMs until this problem is fixed.\n\
                      7.2.22_Debianr175245\n";
        assert_eq!(Version::parse(debian), Some(version(7, 2, 22)));
        assert_eq!(Version::parse("6.1.50r161033"), Some(version(6, 1, 50)));
        assert_eq!(Version::parse("7.0.0_BETA2r153351\n"), Some(version(7, 0, 0)));
        assert_eq!(Version::parse("command not found"), None);
    }

    #[test]
    fn features_come_with_versions() {
        assert!(!version(6, 1, 50).has(Feature::Tpm) && version(7, 0, 0).has(Feature::Tpm));
        assert!(!version(7, 0, 26).has(Feature::Architecture) && version(7, 2, 0).has(Feature::Architecture));
        assert!(OLDEST < version(7, 0, 0));
    }
}
