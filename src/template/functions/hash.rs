//! Digests, password hashes, decryption, UUIDs.

use bakehouse_api::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use uuid::Uuid;

use super::{Args, CallCx, Outcome};

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

pub(super) fn md5(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(hex(&Md5::digest(args.str(0))))
}

pub(super) fn sha1(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(hex(&Sha1::digest(args.str(0))))
}

pub(super) fn sha256(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(hex(&Sha256::digest(args.str(0))))
}

pub(super) fn sha512(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(hex(&Sha512::digest(args.str(0))))
}

pub(super) fn bcrypt(_: &CallCx, args: &Args<'_>) -> Outcome {
    let cost = if args.len() > 1 { args.int(1)? } else { 10 };
    let cost = u32::try_from(cost).ok().filter(|cost| (4..=31).contains(cost));
    let cost = cost.ok_or_else(|| args.wrong(1, "the cost must lie between 4 and 31"))?;
    // Longer passwords would count only in part.
    bcrypt::non_truncating_hash(args.str(0), cost).map(Value::from).map_err(|error| args.wrong(0, error))
}

/// PKCS #1 v1.5, as EC2 encrypts the passwords of Windows instances.
pub(super) fn rsadecrypt(_: &CallCx, args: &Args<'_>) -> Outcome {
    let sealed = STANDARD.decode(args.str(0)).map_err(|error| args.wrong(0, format!("this is no Base64: {error}")))?;
    let pem = args.str(1);
    let key = RsaPrivateKey::from_pkcs1_pem(pem).ok().or_else(|| RsaPrivateKey::from_pkcs8_pem(pem).ok());
    let key = key.ok_or_else(|| args.wrong(1, "this is no RSA private key in PEM without a passphrase"))?;
    let plain = key.decrypt(Pkcs1v15Encrypt, &sealed);
    let plain = plain.map_err(|_| args.wrong(0, "this key does not open it"))?;
    String::from_utf8(plain).map(Value::from).map_err(|_| args.wrong(0, "what it hides is not a UTF-8 text"))
}

pub(super) fn uuidv4(_: &CallCx, _: &Args<'_>) -> Outcome {
    Ok(Uuid::new_v4().to_string().into())
}

pub(super) fn uuidv5(_: &CallCx, args: &Args<'_>) -> Outcome {
    let namespace = match args.str(0) {
        "dns" => Uuid::NAMESPACE_DNS,
        "url" => Uuid::NAMESPACE_URL,
        "oid" => Uuid::NAMESPACE_OID,
        "x500" => Uuid::NAMESPACE_X500,
        other => Uuid::parse_str(other)
            .map_err(|_| args.wrong(0, format!("\"{other}\" is neither dns, url, oid or x500 nor a UUID")))?,
    };
    Ok(Uuid::new_v5(&namespace, args.str(1).as_bytes()).to_string().into())
}
