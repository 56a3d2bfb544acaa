//! Where a downloaded file arrives: beside its place, moved there once it is whole.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bakehouse_api::CommError;
use tempfile::NamedTempFile;

use super::session::local_error;

pub struct Landing {
    file: NamedTempFile,
    place: PathBuf,
}

impl Landing {
    pub fn new(place: &Path) -> Result<Self, CommError> {
        let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(dir).map_err(|error| local_error(place.display(), error))?;
        Ok(Self { file, place: place.to_owned() })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CommError> {
        self.file.write_all(bytes).map_err(|error| local_error(self.place.display(), error))
    }

    pub fn keep(self, mode: u32) -> Result<(), CommError> {
        let Self { file, place } = self;
        let failed = |error| local_error(place.display(), error);
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        file.persist(&place).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
