//! A catalog on disk: changed under a lock, replaced in one step.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Catalog, CatalogError};

/// Writing a catalog takes milliseconds: who holds the lock longer is stuck.
const LOCK_DEADLINE: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(100);

/// None where there is no file.
pub fn read(path: &Path) -> Result<Option<Catalog>, CatalogError> {
    match std::fs::read(path) {
        Ok(bytes) => Catalog::parse(&bytes, &path.display().to_string()).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("reading", path, source)),
    }
}

/// Changes the catalog, or makes it for the box `name`. The old one stays as it is on any error.
pub fn update<T>(
    path: &Path,
    name: &str,
    change: impl FnOnce(&mut Catalog) -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| io_error("writing", path, source))?;
    let _lock = lock(folder, path)?;
    let mut catalog = read(path)?.unwrap_or_else(|| Catalog::new(name));
    let changed = change(&mut catalog)?;
    write(folder, path, &catalog.to_json()).map_err(|source| io_error("writing", path, source))?;
    Ok(changed)
}

/// Locks the folder, not the file: the file is replaced while the lock is held.
fn lock(folder: &Path, path: &Path) -> Result<File, CatalogError> {
    let file = File::open(folder).map_err(|source| io_error("locking", folder, source))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(io_error("locking", folder, source)),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_DEADLINE => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => return Err(CatalogError::Locked { place: path.display().to_string() }),
        }
    }
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temp = tempfile::Builder::new()
        .prefix(".catalog.")
        .permissions(Permissions::from_mode(0o666)) // less the umask, like any new file
        .tempfile_in(folder)?;
    temp.write_all(bytes)?;
    temp.as_file().sync_data()?;
    temp.persist(path)?;
    Ok(())
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> CatalogError {
    CatalogError::Io { doing, place: path.display().to_string(), source }
}
