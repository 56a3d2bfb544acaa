//! `relay`: between a guest's connection and the socket of its metadata service. QEMU runs it.

use std::path::PathBuf;

use bakehouse_api::Result;
use bakehouse_kit::imds;

use super::End;

#[derive(clap::Args)]
pub struct Args {
    socket: PathBuf,
}

pub fn run(args: &Args) -> Result<End> {
    imds::relay(&args.socket, std::io::stdin(), std::io::stdout().lock())?;
    Ok(End::Success)
}
