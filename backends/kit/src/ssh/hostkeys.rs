//! Is this the machine it was? Host keys that the seed put into the guest are verified; others are
//! trusted at the first login of the build and must stay.

use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::ssh_key::HashAlg;
use russh::keys::{PublicKey, PublicKeyOrCertificate};

/// What a machine's connector remembers, shared by all its connections.
#[derive(Clone, Default)]
pub struct HostKeys(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// Given by the builder.
    known: Vec<PublicKey>,
    /// Seen at a login that worked.
    trusted: Option<PublicKey>,
}

/// Why a host key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the host key is {seen}, and the one put into this guest is {expected}")]
    NotTheSeeded { seen: String, expected: String },
    #[error("the host key changed within this build: it was {trusted} at the first login and is {seen} now")]
    Changed { seen: String, trusted: String },
    #[error("the server shows a host certificate, which it was not asked for")]
    Certificate,
}

impl HostKeys {
    /// `lines` are public keys in OpenSSH's form; a line that does not read is an error of the caller.
    pub fn new(lines: &[String]) -> Result<Self, String> {
        let parse = |line: &String| PublicKey::from_openssh(line).map_err(|error| format!("{line}: {error}"));
        let known = lines.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Mutex::new(Memory { known, trusted: None }))))
    }

    /// Keys to ask the server for first.
    pub fn expected(&self) -> Vec<PublicKey> {
        let memory = self.lock();
        match &memory.trusted {
            Some(trusted) => vec![trusted.clone()],
            None => memory.known.clone(),
        }
    }

    pub fn check(&self, shown: &PublicKeyOrCertificate) -> Result<PublicKey, Mismatch> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Err(Mismatch::Certificate) };
        let memory = self.lock();
        let is = |other: &PublicKey| other.key_data() == key.key_data();
        if memory.known.iter().any(is) {
            return Ok(key.clone());
        }
        match (&memory.trusted, memory.known.as_slice()) {
            (Some(trusted), _) if is(trusted) => Ok(key.clone()),
            (Some(trusted), _) => Err(Mismatch::Changed { seen: fingerprint(key), trusted: fingerprint(trusted) }),
            (None, []) => Ok(key.clone()),
            (None, known) => {
                let expected = known.iter().map(fingerprint).collect::<Vec<_>>().join(" or ");
                Err(Mismatch::NotTheSeeded { seen: fingerprint(key), expected })
            }
        }
    }

    /// After a login that worked.
    pub fn trust(&self, key: PublicKey) {
        self.lock().trusted = Some(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// "ssh-ed25519 SHA256:...", as ssh-keygen -l and ssh show it.
pub fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::{GeneratedKey, KeyKind};

    fn line() -> String {
        GeneratedKey::new(KeyKind::Ed25519, None, "host").expect("makes a key").public_openssh
    }

    fn shown(line: &str) -> PublicKeyOrCertificate {
        PublicKey::from_openssh(line).expect("reads").into()
    }

    #[test]
    fn a_seeded_key_is_verified() {
        let (ours, other) = (line(), line());
        let keys = HostKeys::new(std::slice::from_ref(&ours)).expect("reads");
        assert!(keys.check(&shown(&ours)).is_ok());
        assert!(matches!(keys.check(&shown(&other)), Err(Mismatch::NotTheSeeded { .. })));
    }

    #[test]
    fn a_first_key_is_trusted_only_after_the_login() {
        let (first, second) = (line(), line());
        let keys = HostKeys::default();
        keys.check(&shown(&first)).expect("anything goes");
        let key = keys.check(&shown(&second)).expect("still anything goes");
        keys.trust(key);
        let refused = keys.check(&shown(&first)).expect_err("changed");
        let Mismatch::Changed { seen, trusted } = &refused else { panic!("{refused}") };
        assert!(
            seen.starts_with("ssh-ed25519 SHA256:") && trusted.starts_with("ssh-ed25519 SHA256:") && seen != trusted
        );
        assert!(refused.to_string().contains(seen) && refused.to_string().contains(trusted));
    }
}
