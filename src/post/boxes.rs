//! The box among an artifact's files, for the post-processors that publish it.

use std::path::PathBuf;

use bakehouse_api::{Artifact, Error, Kind, Result};

pub fn one(artifact: &Artifact) -> Result<PathBuf> {
    let mut found = artifact.files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "box"));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path.clone()),
        (None, _) => Err(Error::new(Kind::Config, "the artifact has no file that ends with .box")
            .hint("put the post-processor `vagrant` before it in the same chain (`post-processors`)")),
        (Some(_), Some(_)) => Err(Error::new(Kind::Config, "the artifact has more than one file that ends with .box")),
    }
}
