//! Packer's users write long flags with one dash, and values that begin with a dash. Both become
//! what clap reads, by clap's own table of arguments, before it sees them.

use std::ffi::OsString;

use clap::{Arg, Command};

/// `-name value`, `-name=value`, `--name value` all become `--name=value`; what is not a flag of
/// `command` passes, with two dashes, for clap to refuse.
pub fn rewrite(command: &Command, args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut rewritten: Vec<OsString> = args.next().into_iter().collect();
    let mut current = command;
    while let Some(arg) = args.next() {
        let Some(text) = arg.to_str().map(str::to_owned) else {
            rewritten.push(arg);
            continue;
        };
        if text == "--" {
            rewritten.push(arg);
            rewritten.extend(args);
            return rewritten;
        }
        let Some(flag) = long_flag(&text) else {
            if let Some(sub) = current.find_subcommand(&text) {
                current = sub;
            }
            rewritten.push(arg);
            continue;
        };
        let mut full = OsString::from(format!("--{flag}"));
        let wants_next = wants_next(current, flag) || wants_next(command, flag);
        if let Some(value) = args.next_if(|_| wants_next) {
            full.push("=");
            full.push(value);
        }
        rewritten.push(full);
    }
    rewritten
}

/// What follows the dashes of a long flag. `-` is standard input, `-v` a short flag.
fn long_flag(text: &str) -> Option<&str> {
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-').filter(|name| name.chars().count() > 1))?;
    (!name.is_empty()).then_some(name)
}

/// True for a flag whose value is the next argument. Switches take theirs only behind `=`.
fn wants_next(command: &Command, name: &str) -> bool {
    let takes = |arg: &Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
    command.get_arguments().any(|arg| arg.get_long() == Some(name) && takes(arg))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn rewritten(line: &str) -> String {
        let args = std::iter::once("bakehouse").chain(line.split(' ')).map(OsString::from);
        let all: Vec<String> =
            rewrite(&Cli::command(), args).into_iter().skip(1).map(|arg| arg.into_string().unwrap()).collect();
        all.join(" ")
    }

    #[test]
    fn one_dash_becomes_two() {
        let cases = [
            ("build -force x.pkr.hcl", "build --force x.pkr.hcl"),
            ("build --force x.pkr.hcl", "build --force x.pkr.hcl"),
            ("build -color=false x", "build --color=false x"),
            ("build -color x", "build --color x"),
            ("build -var a=b=c x", "build --var=a=b=c x"),
            ("build -var=a=b=c x", "build --var=a=b=c x"),
            ("build --var a=b x", "build --var=a=b x"),
            ("build -var -x x", "build --var=-x x"),
            ("build -var -- x", "build --var=-- x"),
            ("build -only *.debian -except=a,b x", "build --only=*.debian --except=a,b x"),
            ("build -parallel-builds 2 x", "build --parallel-builds=2 x"),
            ("build -on-error ask x", "build --on-error=ask x"),
            ("build x -machine-readable", "build x --machine-readable"),
            ("-machine-readable build x", "--machine-readable build x"),
            ("build --events json x", "build --events=json x"),
            ("validate -", "validate -"),
            ("build -- -force", "build -- -force"),
            ("-v", "-v"),
            ("-version", "--version"),
            ("build -help", "build --help"),
            ("build -h", "build -h"),
            ("build -frce x", "build --frce x"),
            ("build build", "build build"),
            ("box catalog -name a/b -force x.box", "box catalog --name=a/b --force x.box"),
            ("build -var", "build --var"),
        ];
        for (written, meant) in cases {
            assert_eq!(rewritten(written), meant, "{written}");
        }
    }
}
