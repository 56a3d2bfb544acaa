//! `box catalog`

use std::path::PathBuf;

use bakehouse_api::Result;
use bakehouse_boxes::checksum::Algorithm;
use bakehouse_boxes::listing::{self, Listing};

use super::super::{End, say, switch};
use super::Bar;

#[derive(clap::Args)]
pub struct Args {
    /// The box.
    #[arg(value_name = "BOX")]
    file: PathBuf,
    /// The name that clients know it by: org/box.
    #[arg(long)]
    name: String,
    /// Numbers with dots: 1.2.0.
    #[arg(long)]
    version: String,
    /// The catalog; made where there is none.
    #[arg(long, default_value = "metadata.json", value_name = "FILE")]
    output: PathBuf,
    /// A few words about the box.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Where clients fetch it, with {{name}}, {{version}}, {{provider}}, {{architecture}}, {{file}}. Default: the
    /// file on this machine.
    #[arg(long, value_name = "URL")]
    url_template: Option<String>,
    /// md5, sha1, sha256, sha384 or sha512.
    #[arg(long, default_value = "sha256", value_parser = algorithm, value_name = "TYPE")]
    checksum_type: Algorithm,
    /// The guest's architecture as Vagrant calls it. Default: what the box says.
    #[arg(long, value_name = "WORD")]
    architecture: Option<String>,
    /// The architecture that hosts of other ones take.
    #[arg(long, value_name = "WORD")]
    default_architecture: Option<String>,
    /// So many versions stay listed, the newest ones.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    keep_versions: Option<u32>,
    /// Replace a box that is listed already.
    #[arg(long, value_parser = switch, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", hide_default_value = true, value_name = "BOOL")]
    force: bool,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    Algorithm::named(text).ok_or_else(|| format!("it must be one of {names}"))
}

pub fn run(args: Args) -> Result<End> {
    let listing = Listing {
        file: args.file,
        name: args.name,
        version: args.version,
        description: args.description,
        url_template: args.url_template,
        algorithm: args.checksum_type,
        architecture: args.architecture,
        default_architecture: args.default_architecture,
    };
    let bar = Bar::new(&listing.file);
    let entry = listing.entry(&mut bar.step())?;
    drop(bar);
    let keep = args.keep_versions.map(|count| count as usize);
    let (name, version, provider) = (entry.name.clone(), entry.version.clone(), entry.provider.name.clone());
    let gone = listing::list(&args.output, entry, args.force, keep)?;
    say(format_args!("{name} {version} for {provider} is listed in {}", args.output.display()));
    for version in gone {
        say(format_args!("version {version} is no longer listed"));
    }
    let path = std::path::absolute(&args.output).unwrap_or(args.output);
    say(format_args!("vagrant box add {}", path.display()));
    Ok(End::Success)
}
