//! Which ciphers, key exchanges and host keys are offered to the server.

use std::borrow::Cow;

use russh::keys::{Algorithm, PublicKey};
use russh::{Preferred, cipher, kex};

/// What belongs to no negotiation of a cipher: these words are never a user's choice.
const NOT_CIPHERS: &[&str] = &["clear", "none"];

pub fn cipher_names() -> Vec<&'static str> {
    let names = cipher::ALL_CIPHERS.iter().map(|name| AsRef::<str>::as_ref(*name));
    names.filter(|name| !NOT_CIPHERS.contains(name)).collect()
}

pub fn kex_names() -> Vec<&'static str> {
    let names = kex::ALL_KEX_ALGORITHMS.iter().map(|name| AsRef::<str>::as_ref(*name));
    names.filter(|name| *name != "none").collect()
}

/// The algorithms to offer. Names that nobody knows were refused by validation.
/// `known` host keys come first, so that the server shows the one that can be verified.
pub fn preferred(ciphers: &[String], exchanges: &[String], known: &[PublicKey]) -> Preferred {
    let mut preferred = Preferred::default();
    if !ciphers.is_empty() {
        preferred.cipher = ciphers.iter().filter_map(|name| cipher::Name::try_from(name.as_str()).ok()).collect();
    }
    if !exchanges.is_empty() {
        let chosen = exchanges.iter().filter_map(|name| kex::Name::try_from(name.as_str()).ok());
        preferred.kex = chosen.chain(extensions()).collect();
    }
    preferred.key = Cow::Owned(known_first(&preferred.key, known));
    preferred
}

/// Protocol extensions travel in the list of key exchanges; a user's list must not switch them off.
fn extensions() -> impl Iterator<Item = kex::Name> {
    [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT].into_iter()
}

fn known_first(order: &[Algorithm], known: &[PublicKey]) -> Vec<Algorithm> {
    let is_known = |algorithm: &Algorithm| {
        known.iter().any(|key| match (key.algorithm(), algorithm) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (own, other) => own == *other,
        })
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = order.iter().cloned().partition(is_known);
    first.extend(rest);
    first
}
