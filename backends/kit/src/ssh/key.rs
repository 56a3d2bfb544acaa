//! Key pairs made for one build: the login key of a seed, and the host keys put into a guest.

use bakehouse_api::{Secret, choices};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};

choices! {
    pub enum KeyKind {
        Ed25519 = "ed25519",
        Rsa = "rsa",
        Ecdsa = "ecdsa",
        Dsa = "dsa",
    }
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum KeyError {
    #[error("dsa keys are not supported: no current sshd accepts them")]
    Dsa,
    #[error("an rsa key of {0} bits cannot be made: choose 2048 to 16384")]
    RsaBits(u32),
    #[error("an ecdsa key of {0} bits cannot be made: choose 256, 384 or 521")]
    EcdsaBits(u32),
    #[error("making the key pair failed: {0}")]
    Failed(String),
}

impl KeyKind {
    pub fn default_bits(self) -> u32 {
        match self {
            KeyKind::Rsa => 4096,
            KeyKind::Ecdsa => 521,
            KeyKind::Ed25519 => 256,
            KeyKind::Dsa => 1024,
        }
    }

    /// Refuses what [`GeneratedKey::new`] would refuse, without making a key.
    pub fn check_bits(self, bits: Option<u32>) -> Result<u32, KeyError> {
        let bits = bits.filter(|bits| *bits != 0).unwrap_or(self.default_bits());
        match self {
            KeyKind::Dsa => Err(KeyError::Dsa),
            KeyKind::Rsa if !(2048..=16384).contains(&bits) => Err(KeyError::RsaBits(bits)),
            KeyKind::Ecdsa if ![256, 384, 521].contains(&bits) => Err(KeyError::EcdsaBits(bits)),
            _ => Ok(bits),
        }
    }
}

#[derive(Clone, Debug)]
pub struct GeneratedKey {
    /// OpenSSH's own format, unencrypted.
    pub private_openssh: Secret,
    /// One line, as it goes into `authorized_keys`.
    pub public_openssh: String,
}

impl GeneratedKey {
    /// `bits` none takes the kind's default. RSA takes seconds: call it off the async threads.
    pub fn new(kind: KeyKind, bits: Option<u32>, comment: &str) -> Result<Self, KeyError> {
        let bits = kind.check_bits(bits)?;
        let mut rng = rand::rng();
        let made = match kind {
            KeyKind::Rsa => RsaKeypair::random(&mut rng, bits as usize)
                .and_then(|pair| PrivateKey::new(KeypairData::Rsa(pair), comment)),
            KeyKind::Ecdsa => PrivateKey::random(&mut rng, Algorithm::Ecdsa { curve: curve(bits) }),
            KeyKind::Ed25519 => PrivateKey::random(&mut rng, Algorithm::Ed25519),
            KeyKind::Dsa => return Err(KeyError::Dsa),
        };
        let failed = |error: russh::keys::ssh_key::Error| KeyError::Failed(error.to_string());
        let mut key = made.map_err(failed)?;
        key.set_comment(comment);
        Ok(Self {
            private_openssh: Secret::new(key.to_openssh(LineEnding::LF).map_err(failed)?.to_string()),
            public_openssh: key.public_key().to_openssh().map_err(failed)?,
        })
    }
}

fn curve(bits: u32) -> EcdsaCurve {
    match bits {
        256 => EcdsaCurve::NistP256,
        384 => EcdsaCurve::NistP384,
        _ => EcdsaCurve::NistP521,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_with_its_comment() {
        for (kind, bits, prefix) in [
            (KeyKind::Ed25519, None, "ssh-ed25519 "),
            (KeyKind::Ecdsa, Some(256), "ecdsa-sha2-nistp256 "),
            (KeyKind::Ecdsa, None, "ecdsa-sha2-nistp521 "),
            (KeyKind::Rsa, Some(2048), "ssh-rsa "),
        ] {
            let key = GeneratedKey::new(kind, bits, "build key").expect("makes a key");
            assert!(key.public_openssh.starts_with(prefix), "{}", key.public_openssh);
            assert!(key.public_openssh.ends_with(" build key"));
            let read = PrivateKey::from_openssh(key.private_openssh.reveal()).expect("reads back");
            assert_eq!(read.public_key().to_openssh().expect("encodes"), key.public_openssh);
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        assert_eq!(KeyKind::Dsa.check_bits(None), Err(KeyError::Dsa));
        assert_eq!(KeyKind::Rsa.check_bits(Some(512)), Err(KeyError::RsaBits(512)));
        assert_eq!(KeyKind::Ecdsa.check_bits(Some(400)), Err(KeyError::EcdsaBits(400)));
        assert_eq!(KeyKind::Ed25519.check_bits(Some(9)), Ok(9));
    }

    #[test]
    fn the_private_half_is_not_shown() {
        let key = GeneratedKey::new(KeyKind::Ed25519, None, "x").expect("makes a key");
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
