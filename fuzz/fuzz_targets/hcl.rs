//! HCL2: lexer, parser, evaluation and planning.
#![no_main]

use bakehouse::template::load::ConfigType;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|text: &str| -> Corpus {
    if bakehouse_fuzz::evaluate(text, ConfigType::Hcl2) { Corpus::Keep } else { Corpus::Reject }
});
