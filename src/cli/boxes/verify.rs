//! `box verify`

use std::path::{Path, PathBuf};

use bakehouse_api::{Error, Kind, Result};
use bakehouse_boxes::catalog::{self, Catalog, Provider};
use bakehouse_boxes::{checksum, ova, read};

use super::super::{End, complain, say};
use super::{Bar, size};

#[derive(clap::Args)]
pub struct Args {
    /// Boxes, catalogs (*.json) and appliances (*.ova).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Result<End> {
    let mut end = End::Success;
    for path in &args.files {
        let checked = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => verify_catalog(path),
            Some("ova") => verify_ova(path),
            _ => verify_box(path),
        };
        if let Err(error) = checked {
            end = End::Failure;
            complain(&error);
        }
    }
    Ok(end)
}

fn verify_box(path: &Path) -> Result<()> {
    let bar = Bar::new(path);
    let summary = read::verify(path, &mut bar.step())?;
    drop(bar);
    let bytes = summary.members.iter().map(|member| member.size).sum();
    say(format_args!("{}: whole, a box for {}, {} unpacked", path.display(), summary.provider(), size(bytes)));
    Ok(())
}

fn verify_ova(path: &Path) -> Result<()> {
    let archive = ova::open(path)?;
    match archive.verify()? {
        0 => say(format_args!("{}: whole, without a manifest to compare with", path.display())),
        count => say(format_args!("{}: whole, {count} digests of its manifest compared", path.display())),
    }
    Ok(())
}

/// Every box of the catalog that is on this machine: its checksum and its provider.
fn verify_catalog(path: &Path) -> Result<()> {
    let catalog = catalog::read(path)?
        .ok_or_else(|| Error::new(Kind::Input, format!("there is no catalog {}", path.display())))?;
    let (mut checked, mut elsewhere) = (0, 0);
    for (version, provider) in providers(&catalog) {
        let named = |error: Error| error.context(format!("{} {version} for {}", catalog.name, provider.name));
        match catalog::local_file(&provider.url) {
            Some(file) => {
                verify_listed(&file, provider).map_err(named)?;
                checked += 1;
            }
            None => elsewhere += 1,
        }
    }
    let elsewhere = if elsewhere > 0 { format!(", {elsewhere} elsewhere") } else { String::new() };
    say(format_args!("{}: a catalog of {}, {checked} boxes checked{elsewhere}", path.display(), catalog.name));
    Ok(())
}

fn providers(catalog: &Catalog) -> impl Iterator<Item = (&str, &Provider)> {
    catalog.versions.iter().flat_map(|release| release.providers.iter().map(|one| (release.version.as_str(), one)))
}

fn verify_listed(file: &Path, provider: &Provider) -> Result<()> {
    let metadata = read::metadata(file)?;
    let found = metadata.get("provider").and_then(|value| value.as_str()).unwrap_or_default();
    if found != provider.name {
        let wrong = format!("{} is a box for {found}, and is listed for {}", file.display(), provider.name);
        return Err(Error::new(Kind::Input, wrong).hint("Vagrant refuses it: list it again"));
    }
    let Some((algorithm, expected)) = catalog::checksum(provider) else { return Ok(()) };
    let bar = Bar::new(file);
    let found = checksum::of_file(file, algorithm, &mut bar.step())
        .map_err(|error| Error::io(format!("reading {}", file.display()), &error))?;
    if !found.eq_ignore_ascii_case(expected) {
        let wrong =
            format!("the {} of {} is {found}, and the catalog says {expected}", algorithm.name(), file.display());
        return Err(Error::new(Kind::Input, wrong).hint("the box was changed after it was listed"));
    }
    Ok(())
}
