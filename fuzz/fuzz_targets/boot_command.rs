//! Boot commands to key presses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // A character without a key is an error; only a panic is not.
    drop(bakehouse_kit::boot_command::parse(text));
});
