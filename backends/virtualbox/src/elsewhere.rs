//! `output_filename` may name a folder, counted from the output directory: `../images/debian`. Packer exports there;
//! here the export is made in the output directory, like every other, and moved once it is whole.

use std::path::{Component, Path, PathBuf};

use bakehouse_api::{Cx, Error, Kind, Result};

/// The last part of `output_filename`: what the export's files begin with.
pub fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The folder, as the output directory is written: relative to where the program was started. None: it is the output
/// directory itself.
fn folder(output: &Path, name: &str) -> Option<PathBuf> {
    let (folder, _) = name.rsplit_once('/')?;
    let mut found = output.to_owned();
    for part in Path::new(folder).components() {
        match part {
            Component::ParentDir if found.file_name().is_some() => _ = found.pop(),
            Component::ParentDir => found.push(".."),
            Component::Normal(part) => found.push(part),
            _ => {}
        }
    }
    (found != output).then_some(found)
}

/// Fails when a file is there that may not be replaced.
pub fn refuse_existing(cx: &Cx, output: &Path, name: Option<&str>, suffix: &str) -> Result<()> {
    let Some(folder) = name.and_then(|name| folder(output, name)) else { return Ok(()) };
    let file = folder.join(format!("{}.{suffix}", base(name.unwrap_or_default())));
    if cx.settings().force || !cx.settings().cwd.join(&file).exists() {
        return Ok(());
    }
    Err(Error::new(Kind::Config, format!("the file {} exists already", file.display()))
        .hint("move it away, choose another `output_filename`, or replace it with -force"))
}

/// Moves the files of the export to where `output_filename` says. Returns all files, in their new places.
pub fn moved(cx: &Cx, output: &Path, name: Option<&str>, files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let Some((name, folder)) = name.and_then(|name| Some((name, folder(output, name)?))) else { return Ok(files) };
    let at = |path: &Path| cx.settings().cwd.join(path);
    let failed = |error: std::io::Error| Error::io(format!("moving the export to {}", folder.display()), &error);
    std::fs::create_dir_all(at(&folder)).map_err(failed)?;
    let to = |file: PathBuf| match file.file_name() {
        Some(last) if last.to_string_lossy().starts_with(base(name)) => {
            let place = folder.join(last);
            std::fs::rename(at(&file), at(&place)).map_err(failed).map(|()| place)
        }
        _ => Ok(file),
    };
    files.into_iter().map(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_from_the_output_directory() {
        for (name, expected) in [
            ("x", None),
            ("./x", None),
            ("../x", Some("out")),
            ("../../../../x", Some("../..")),
            ("../box/v1.0/x", Some("out/box/v1.0")),
            ("/sub/x", Some("out/mine/sub")),
        ] {
            assert_eq!(folder(Path::new("out/mine"), name), expected.map(PathBuf::from), "{name}");
        }
    }
}
