//! Base64, CSV, character sets, URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use bakehouse_api::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{Args, CallCx, CallError, Outcome};

fn from_base64(args: &Args<'_>, index: usize) -> Result<Vec<u8>, CallError> {
    STANDARD.decode(args.str(index)).map_err(|error| args.wrong(index, format!("this is no Base64: {error}")))
}

pub(super) fn base64decode(_: &CallCx, args: &Args<'_>) -> Outcome {
    let text = String::from_utf8(from_base64(args, 0)?);
    text.map(Value::from).map_err(|_| args.wrong(0, "the bytes are not a UTF-8 text; see textdecodebase64"))
}

pub(super) fn base64encode(_: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(STANDARD.encode(args.str(0)).into())
}

pub(super) fn base64gzip(_: &CallCx, args: &Args<'_>) -> Outcome {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let packed = encoder.write_all(args.str(0).as_bytes()).and_then(|()| encoder.finish());
    Ok(STANDARD.encode(packed.map_err(|error| args.wrong(0, error))?).into())
}

/// Names are those of IANA, as browsers know them.
fn encoding(args: &Args<'_>) -> Result<&'static Encoding, CallError> {
    let name = args.str(1);
    // The standard that browsers follow reads plain UTF-16 as little endian; IANA says big.
    if name.eq_ignore_ascii_case("utf-16") {
        return Ok(UTF_16BE);
    }
    Encoding::for_label_no_replacement(name.as_bytes())
        .ok_or_else(|| args.wrong(1, format!("\"{name}\" is not a known encoding, like UTF-8, UTF-16LE or ISO-8859-1")))
}

pub(super) fn textdecodebase64(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (bytes, encoding) = (from_base64(args, 0)?, encoding(args)?);
    match encoding.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Ok(text.into_owned().into()),
        None => Err(args.wrong(0, format!("the bytes are not a text in {}", encoding.name()))),
    }
}

pub(super) fn textencodebase64(_: &CallCx, args: &Args<'_>) -> Outcome {
    let (text, encoding) = (args.str(0), encoding(args)?);
    let bytes = if encoding == UTF_16LE {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    } else if encoding == UTF_16BE {
        text.encode_utf16().flat_map(u16::to_be_bytes).collect()
    } else if encoding == UTF_8 {
        text.as_bytes().to_vec()
    } else {
        let (bytes, _, lossy) = encoding.encode(text);
        if lossy {
            return Err(args.wrong(0, format!("some characters do not exist in {}", encoding.name())));
        }
        bytes.into_owned()
    };
    Ok(STANDARD.encode(bytes).into())
}

pub(super) fn csvdecode(_: &CallCx, args: &Args<'_>) -> Outcome {
    let wrong = |error: csv::Error| args.wrong(0, format!("this is no CSV: {error}"));
    let mut reader = csv::Reader::from_reader(args.str(0).as_bytes());
    let headers = reader.headers().map_err(wrong)?.clone();
    if headers.is_empty() {
        return Err(args.wrong(0, "there is no header line"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = headers.iter().find(|name| !seen.insert(*name)) {
        return Err(args.wrong(0, format!("the column \"{twice}\" is there twice")));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let field = |(name, cell): (&str, &str)| (name.to_owned(), Value::from(cell));
        rows.push(Value::object(headers.iter().zip(&record).map(field).collect::<BTreeMap<_, _>>()));
    }
    Ok(Value::tuple(rows))
}

pub(super) fn urlencode(_: &CallCx, args: &Args<'_>) -> Outcome {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".into(),
        _ => format!("%{byte:02X}"),
    };
    Ok(args.str(0).bytes().map(escape).collect::<String>().into())
}
