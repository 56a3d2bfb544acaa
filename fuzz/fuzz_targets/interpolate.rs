//! The `{{ }}` engine, with some fields and variables.
#![no_main]

use std::time::UNIX_EPOCH;

use bakehouse::template::interpolate::{BuildFacts, Engine, EngineCx};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let engine = Engine::new(EngineCx {
        user: Some([("name".to_owned(), "value".to_owned())].into()),
        build_name: "debian".into(),
        build_type: "qemu".into(),
        facts: BuildFacts::Later,
        root: ".".into(),
        cwd: "/nowhere".into(),
        version: "1.16.0".into(),
        now: UNIX_EPOCH,
        env: None,
        services: None,
    });
    let fields = ["Vars", "Path", "HTTPIP"].map(|name| (name.to_owned(), "x".to_owned()));
    if let Err(error) = engine.run(text, &fields.into()) {
        assert!(error.at <= text.len(), "the place {} lies behind the text", error.at);
    }
});
