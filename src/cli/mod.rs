//! The command line: one file per command. Nothing else reads argv or the environment; only this and
//! the reporters write to standard output and standard error.

mod account;
mod ami;
mod argv;
mod boxes;
mod build;
mod cache;
mod caching;
mod completion;
mod console;
mod environment;
mod errand;
mod explain;
mod export;
mod fix;
mod fmt;
mod functions;
mod gc;
mod hcl2_upgrade;
mod http;
mod import;
mod init;
mod inspect;
mod login;
mod plan;
mod plugins;
mod preflight;
mod printable;
mod relay;
mod run;
mod runtime;
mod schema;
mod services;
mod table;
mod template;
mod validate;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use bakehouse_api::{Error, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Bakes machine images from Packer templates.
#[derive(Parser)]
#[command(
    name = "bakehouse",
    disable_version_flag = true,
    args_override_self = true,
    arg_required_else_help = true,
    after_help = "Long flags may also be written with one dash, as Packer's users do: -force, -var a=b."
)]
struct Cli {
    /// Print one line of comma-separated values per event, as Packer does.
    #[arg(long, global = true, help_heading = "Output")]
    machine_readable: bool,
    /// Print the version.
    #[arg(short = 'v', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Bake the images that a template describes.
    Build(build::Args),
    /// Show what a build would do: which stages are cached, which will run, and why. Nothing is started.
    Plan(plan::Args),
    /// Look at the checkpoints of builds, and make room.
    Cache(cache::Args),
    /// Check a template, and find everything that can be known without starting anything.
    Validate(validate::Args),
    /// Show the variables, sources and builds of a template.
    Inspect(inspect::Args),
    /// Check that all plugins a template requires are built in. Nothing is installed.
    Init(init::Args),
    /// List the built-in components, or what a template requires.
    #[command(subcommand)]
    Plugins(plugins::Command),
    /// Explain a component or one of its options.
    Explain(explain::Args),
    /// Print a JSON Schema of templates or of one component.
    Schema(schema::Args),
    /// Try out expressions: line by line, or all of standard input for the result of the last one.
    Console(console::Args),
    /// Say what the functions of the language do.
    Functions(functions::Args),
    /// Rewrite a legacy JSON template with the spellings of today.
    Fix(fix::Args),
    /// Write a legacy JSON template as HCL2.
    #[command(name = "hcl2_upgrade")]
    Hcl2Upgrade(hcl2_upgrade::Args),
    /// Lay out the files of a template.
    Fmt(fmt::Args),
    /// Bring the disk of an AMI to this machine.
    Export(Box<export::Args>),
    /// Say whether EC2 could boot a disk, without starting it.
    Preflight(preflight::Args),
    /// Boot a disk on this machine as EC2 would: with a metadata service, a key and user data.
    Run(Box<run::Args>),
    /// Look at Vagrant boxes and list them in catalogs.
    Box(boxes::Args),
    /// Look at the AMIs of an account, and remove old ones.
    Ami(ami::Args),
    /// Make an AMI of a disk of this machine.
    Import(Box<import::Args>),
    /// Remove what builds that were killed have left.
    Gc(gc::Args),
    /// Join standard input and output with a socket: what a guest's way to its metadata service runs.
    #[command(hide = true)]
    Relay(relay::Args),
    /// Print a script that completes words in a shell.
    Completion(completion::Args),
    /// Print the version.
    Version,
}

/// What the program ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Success,
    /// Something failed or was interrupted, and has been reported.
    Failure,
    /// What was checked is not as it should be: `fmt -check`, `preflight`.
    Different,
    /// A command in a guest ended so.
    Code(u8),
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Success => ExitCode::SUCCESS,
            End::Failure => ExitCode::FAILURE,
            End::Different => ExitCode::from(3),
            End::Code(code) => ExitCode::from(code),
        }
    }
}

/// Runs the program with `args`, the first of which is its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<End> {
    let mut command = Cli::command();
    let args = argv::rewrite(&command, args);
    let matches = command.try_get_matches_from_mut(args);
    let cli = match matches.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print(); // nobody is there to read it
            return Ok(if error.exit_code() == 0 { End::Success } else { End::Failure });
        }
    };
    match cli.command {
        _ if cli.version => version::run(cli.machine_readable),
        Some(Command::Build(args)) => build::run(args, cli.machine_readable),
        Some(Command::Plan(args)) => plan::run(args),
        Some(Command::Cache(args)) => cache::run(&args),
        Some(Command::Validate(args)) => validate::run(args),
        Some(Command::Init(args)) => init::run(&args),
        Some(Command::Plugins(command)) => plugins::run(&command),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Schema(args)) => schema::run(&args),
        Some(Command::Console(args)) => console::run(args),
        Some(Command::Functions(args)) => functions::run(&args),
        Some(Command::Completion(args)) => completion::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args, cli.machine_readable),
        Some(Command::Fix(args)) => fix::run(&args),
        Some(Command::Hcl2Upgrade(args)) => hcl2_upgrade::run(&args),
        Some(Command::Fmt(args)) => fmt::run(args),
        Some(Command::Export(args)) => export::run(&args, cli.machine_readable),
        Some(Command::Preflight(args)) => preflight::run(&args),
        Some(Command::Run(args)) => run::run(&args, cli.machine_readable),
        Some(Command::Relay(args)) => relay::run(&args),
        Some(Command::Box(args)) => boxes::run(args),
        Some(Command::Ami(args)) => ami::run(&args),
        Some(Command::Import(args)) => import::run(&args, cli.machine_readable),
        Some(Command::Gc(args)) => gc::run(&args),
        Some(Command::Version) | None => version::run(cli.machine_readable),
    }
}

/// Says on standard error what went wrong and what to try.
pub fn complain(error: &Error) {
    eprintln!("Error: {error}");
    for hint in error.hints() {
        eprintln!("  try: {hint}");
    }
}

/// Writes a line to standard output. A reader that has gone away (`| head`) is no failure.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes a text that has its own line breaks.
fn put(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A switch as Go's flags have them: `-color`, `-color=false`.
fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("it must be true or false".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let args = std::iter::once("bakehouse").chain(line.split(' ')).map(OsString::from);
        Cli::try_parse_from(argv::rewrite(&Cli::command(), args))
    }

    fn build(line: &str) -> build::Args {
        match parse(line).map(|cli| cli.command) {
            Ok(Some(Command::Build(args))) => args,
            Ok(_) => panic!("not a build: {line}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn switches_take_go_style_values_and_the_last_one_counts() {
        assert_eq!(build("build x").color, None);
        assert_eq!(build("build -color=false x").color, Some(false));
        assert_eq!(build("build -color=false -color=1 x").color, Some(true));
        assert!(build("build -force x").force);
        assert!(!build("build -force=false x").force);
        assert!(parse("build -force=maybe x").is_err());
        assert_eq!(build("build -parallel-builds=1 -parallel-builds=3 x").parallel_builds, 3);
    }

    #[test]
    fn lists_are_split_and_repeated() {
        let args = build("build -only a,b -only=c -var x=1,2 -var=y=-3 x.pkr.hcl").template;
        assert_eq!(args.only, ["a", "b", "c"]);
        assert_eq!(args.vars, [("x", "1,2"), ("y", "-3")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(args.path, std::path::Path::new("x.pkr.hcl"));
    }

    #[test]
    fn machine_readable_goes_anywhere() {
        for line in ["-machine-readable build x", "build -machine-readable x", "build x -machine-readable"] {
            assert!(parse(line).is_ok_and(|cli| cli.machine_readable), "{line}");
        }
    }

    #[test]
    fn a_wrong_flag_names_the_right_one() {
        let error = parse("build -frce x").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("--force"), "{error}");
    }
}
