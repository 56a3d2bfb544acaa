//! What the targets share. A run reads no file, no environment and no network: the template comes by
//! standard input, and texts that name a function which would look outside are passed over.

use bakehouse::template::load::{ConfigType, LoadRequest, load};

/// Parts of the names of functions that look outside, or that take long by design.
const IMPURE: [&str; 6] = ["file", "vault", "consul", "aws_secretsmanager", "bcrypt", "rsadecrypt"];

/// Loads and evaluates a template. False where that would look outside.
pub fn evaluate(text: &str, config_type: ConfigType) -> bool {
    if IMPURE.iter().any(|name| text.contains(name)) {
        return false;
    }
    let loaded = load(&LoadRequest::of_text(text, config_type));
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
