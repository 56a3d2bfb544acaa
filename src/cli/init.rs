//! `init`: what a template requires, and whether it is built in. There is nothing to install.

use bakehouse_api::{Diagnostic, Diagnostics, Result, Secrets};

use super::environment::Environment;
use super::template::{self, TemplateArgs};
use super::{End, say, switch};
use crate::reference::components;
use crate::template::hcl::requirements::{Needed, Requirements, requirements};
use crate::template::load::{ConfigType, config_type};
use crate::template::plan::Plugin;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    template: TemplateArgs,
    /// Packer's flag to fetch newer plugins: built-in ones have no other version.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    upgrade: bool,
    /// Packer's flag to fetch plugins again: built-in ones are there.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    force: bool,
}

pub fn run(args: &Args) -> Result<End> {
    if args.upgrade || args.force {
        say("Components are built in: there is nothing to upgrade or to install again.");
    }
    check(&args.template)
}

/// Lists the plugins of a template. A failure when a component that it uses is not built in.
pub fn check(args: &TemplateArgs) -> Result<End> {
    let environment = Environment::read()?;
    let request = args.request(&environment, &Secrets::default())?;
    if config_type(&request) == ConfigType::Json {
        say("A legacy JSON template requires no plugins.");
        return Ok(End::Success);
    }
    let mut required = requirements(&request);
    let missing: Vec<Needed> = required.components.iter().filter(|needed| !built_in(needed)).cloned().collect();
    if !required.diagnostics.has_errors() {
        required.plugins.iter().for_each(|plugin| say(line(plugin, &required)));
        if required.plugins.is_empty() {
            say("This template requires no plugins.");
        }
        let findings = Diagnostics(missing.iter().map(not_built_in).collect());
        required.diagnostics.extend(findings);
    }
    template::print(&required.diagnostics, &required.sources, &environment);
    Ok(if required.diagnostics.has_errors() { End::Failure } else { End::Success })
}

fn built_in(needed: &Needed) -> bool {
    components().iter().any(|known| known.role.word() == needed.role && known.schema.kind == needed.kind)
}

fn not_built_in(needed: &Needed) -> Diagnostic {
    let Needed { role, kind, span } = needed;
    Diagnostic::error(format!("the {role} `{kind}` is not built in"))
        .at(*span)
        .hint("`-only` and `-except` choose the builds that do not need it")
}

/// "qemu (github.com/hashicorp/qemu >= 1.0): built in"
fn line(plugin: &Plugin, required: &Requirements) -> String {
    let used: Vec<&Needed> = required.components.iter().filter(|needed| plugin.has(&needed.kind)).collect();
    let ours: Vec<String> =
        components().iter().filter(|known| plugin.has(&known.schema.kind)).map(|known| known.path()).collect();
    let lacking: Vec<&str> =
        used.iter().filter(|needed| !built_in(needed)).map(|needed| needed.kind.as_str()).collect();
    let state = match (lacking.is_empty(), ours.is_empty(), used.is_empty()) {
        (false, ..) => format!("not built in: {}", lacking.join(", ")),
        (true, false, _) => format!("built in: {}", ours.join(", ")),
        (true, true, true) => "not built in, and not used by these builds".into(),
        (true, true, false) => "built in".into(),
    };
    let asked: Vec<&str> = [&plugin.source, &plugin.version].into_iter().flatten().map(String::as_str).collect();
    match asked.as_slice() {
        [] => format!("{}: {state}", plugin.name),
        asked => format!("{} ({}): {state}", plugin.name, asked.join(" ")),
    }
}
