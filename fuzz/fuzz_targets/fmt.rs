//! The canonical layout: it parses as the text did, and has itself as its layout.
#![no_main]

use bakehouse::template::hcl::format::format;
use bakehouse::template::hcl::parser::parse_file;
use bakehouse_api::FileId;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|text: &str| -> Corpus {
    if parse_file(FileId(0), text).1.has_errors() {
        return Corpus::Reject;
    }
    let once = format(text);
    assert!(!parse_file(FileId(0), &once).1.has_errors(), "no longer parses: {once:?}");
    assert_eq!(format(&once), once);
    Corpus::Keep
});
