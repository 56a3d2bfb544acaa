//! `box`: looks at Vagrant boxes and lists them in catalogs, whoever made them.

mod catalog;
mod ls;
mod verify;

use std::io::{self, IsTerminal};
use std::path::Path;

use bakehouse_api::Result;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::End;

#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what boxes hold.
    Ls(ls::Args),
    /// Read boxes and catalogs as a whole, and check what can be known without running them.
    Verify(verify::Args),
    /// List a box in a catalog.
    Catalog(catalog::Args),
}

pub fn run(args: Args) -> Result<End> {
    match args.command {
        Command::Ls(args) => ls::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Catalog(args) => catalog::run(args),
    }
}

/// How far a file is, on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(path: &Path) -> Self {
        let size = path.metadata().map_or(0, |meta| meta.len());
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{msg} {wide_bar} {binary_bytes}/{binary_total_bytes}");
        let bar = ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        Self(bar)
    }

    fn step(&self) -> impl FnMut(u64) -> io::Result<()> + '_ {
        |bytes| {
            self.0.inc(bytes);
            Ok(())
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// "1.5 GiB".
fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
