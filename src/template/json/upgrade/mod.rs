//! `hcl2_upgrade`: a legacy template as HCL2 that builds the same.

mod blocks;
mod calls;
mod names;
mod plugins;
#[cfg(test)]
mod tests;
mod values;
mod weak;

use bakehouse_api::Field;

use super::template::Template;
use crate::template::hcl::format::format;

/// The options of a component by its path, as "provisioner.shell"; none where it is not built in.
pub type Known<'a> = &'a dyn Fn(&str) -> Vec<Field>;

/// The text of an HCL2 file. With `annotations` each section says what it is for.
pub fn upgrade(template: &Template, annotations: bool, known: Known<'_>) -> String {
    let names = names::Names::new(template);
    let mut sections = vec![plugins::packer_block(template)];
    sections.extend(blocks::sections(template, &names, known));
    let mut text = blocks::comments(template);
    for (about, section) in ABOUT.iter().zip(sections) {
        if section.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if annotations {
            text.extend(about.lines().map(|line| format!("# {line}\n")));
        }
        text.push_str(&section);
    }
    format(&text)
}

/// In the order of the sections.
const ABOUT: [&str; 5] = [
    "What this template needs. `packer init` installs the plugins; those that are built in are there already.",
    "Variables are set with -var, -var-file or PKR_VAR_name. In JSON all of them are strings; give them\n\
     other types as you like.",
    "Values that are computed once. A variable whose default asks for another value has no default here;\n\
     while it is not set, the local of its name computes it.",
    "Each source says how one machine is made. It runs when a build names it.",
    "The build runs its provisioners on each of its sources, then hands on what they made.",
];
