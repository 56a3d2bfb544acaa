//! What the targets share. A run reads no file, no environment and no network: the template comes by
//! standard input, and texts that name a function which would look outside are passed over.

use std::time::UNIX_EPOCH;

use bakehouse::template::load::{ConfigType, LoadRequest, load};

/// Parts of the names of functions that look outside, or that take long by design.
const IMPURE: [&str; 6] = ["file", "vault", "consul", "aws_secretsmanager", "bcrypt", "rsadecrypt"];

/// Loads and evaluates a template. False where that would look outside.
pub fn evaluate(text: &str, config_type: ConfigType) -> bool {
    if IMPURE.iter().any(|name| text.contains(name)) {
        return false;
    }
    let loaded = load(&LoadRequest {
        path: "-".into(),
        config_type: Some(config_type),
        vars: Vec::new(),
        var_files: Vec::new(),
        warn_undeclared: true,
        only: Vec::new(),
        except: Vec::new(),
        env: Default::default(),
        cwd: "/nowhere".into(),
        secrets: Default::default(),
        now: UNIX_EPOCH,
        fetch: None,
        data: Vec::new(),
        unset_is_unknown: false,
        stdin: Some(text.into()),
    });
    for build in loaded.plan.iter().flat_map(|plan| &plan.builds) {
        let steps = build.provisioners.iter().chain(&build.on_error).map(|step| &step.config);
        let post = build.post.iter().flatten().map(|step| &step.config);
        // What is wrong with a step is a finding; only a panic is not.
        steps.chain(post).for_each(|config| drop(config.validate()));
    }
    // Showing a finding needs its place to lie within the text.
    bakehouse::report::diagnostic::render(&loaded.diagnostics, &loaded.sources, false);
    true
}
