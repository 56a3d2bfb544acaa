//! `completion`: what a shell needs to complete words.

use bakehouse_api::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, End, put};

#[derive(clap::Args)]
pub struct Args {
    /// The shell, as in `source <(bakehouse completion bash)`.
    #[arg(value_name = "SHELL", value_parser = ["bash", "fish", "zsh"])]
    shell: String,
}

pub fn run(args: &Args) -> Result<End> {
    let shell = match args.shell.as_str() {
        "bash" => Shell::Bash,
        "fish" => Shell::Fish,
        _ => Shell::Zsh,
    };
    put(&script(shell));
    Ok(End::Success)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bakehouse", &mut script);
    String::from_utf8_lossy(&script).lines().map(|line| with_one_dash(shell, line)).collect()
}

/// Long flags also with one dash, as Packer's users write them.
fn with_one_dash(shell: Shell, line: &str) -> String {
    let trimmed = line.trim_start();
    match shell {
        Shell::Bash if trimmed.starts_with("opts=\"") => {
            let flags = line.split([' ', '"']).filter_map(|word| word.strip_prefix("--"));
            let flags: String = flags.map(|name| format!(" -{name}")).collect();
            format!("{}{flags}\"\n", line.trim_end_matches('"').trim_end())
        }
        Shell::Fish => match line.split_once(" -l ") {
            Some((before, rest)) => {
                let name = rest.split(' ').next().unwrap_or_default();
                format!("{before} -o {name} -l {rest}\n")
            }
            None => format!("{line}\n"),
        },
        Shell::Zsh if trimmed.starts_with("'--") || trimmed.starts_with("'*--") => {
            format!("{}\n{line}\n", line.replacen("--", "-", 1))
        }
        _ => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_commands_and_flags_with_one_dash_and_two() {
        for (shell, words) in [
            (Shell::Bash, &["validate", " --recursive", " -recursive"][..]),
            (Shell::Zsh, &["validate", "'--recursive=", "'-recursive="]),
            (Shell::Fish, &["validate", "-l recursive", "-o recursive"]),
        ] {
            let script = script(shell);
            words.iter().for_each(|word| assert!(script.contains(word), "{shell}: {word}"));
        }
    }
}
