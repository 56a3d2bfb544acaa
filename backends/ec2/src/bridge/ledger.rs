//! What was sent of a file, on disk: an upload that was cut off goes on from there. A text line says what is being
//! filled; then come records of one length, appended as each piece is acknowledged. A record that was cut short is
//! none, and its piece is sent again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bakehouse_api::{Cx, Error, Result, UndoId};
use bakehouse_kit::undo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub type Sum = [u8; 32];
const RECORD: usize = 4 + 32 + 64;
/// Of a receipt: an ETag has some forty.
const RECEIPT: usize = 64;

/// The state of a file in which its pieces are the same.
#[derive(Debug, Serialize)]
pub struct FileState {
    path: PathBuf,
    number: usize,
    size: u64,
    modified: (i64, i64),
    device: u64,
    inode: u64,
}

impl FileState {
    pub fn of(path: &Path, number: usize) -> Result<Self> {
        let read = || {
            let path = path.canonicalize()?;
            let meta = path.metadata()?;
            Ok(Self {
                path,
                number,
                size: meta.size(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                device: meta.dev(),
                inode: meta.ino(),
            })
        };
        read().map_err(|error: io::Error| Error::io(format!("reading {}", path.display()), &error))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub sum: Sum,
    /// What the other side answered, where that matters.
    pub receipt: String,
}

#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    pub pieces: BTreeMap<u32, Piece>,
    pub undo: UndoId,
}

/// What is being filled, for whom.
#[derive(Serialize, Deserialize)]
struct Head<T> {
    v: u32,
    target: T,
}

const VERSION: u32 = 1;

impl Ledger {
    /// The place of the ledger for `what`: everything that decides what is sent where.
    pub fn place(cx: &Cx, what: &impl Serialize) -> PathBuf {
        let text = serde_json::to_vec(what).unwrap_or_default(); // plain data of ours
        let name: String = Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        cx.settings().cache.join("uploads").join(name)
    }

    /// What an earlier upload left, unless there is none, it cannot be read or another process is at it.
    pub fn resume<T: DeserializeOwned>(cx: &Cx, path: &Path) -> Result<Option<(T, Self)>> {
        let Ok(mut file) = OpenOptions::new().read(true).append(true).open(path) else { return Ok(None) };
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| Self::failed(path, &error))?;
        let Some((target, pieces, whole)) = parse(&bytes) else { return Ok(None) };
        // A torn record at the end would shift those to come.
        file.set_len(whole).map_err(|error| Self::failed(path, &error))?;
        let undo = cx.hold(undo::path(path))?;
        Ok(Some((target, Self { path: path.to_owned(), file, pieces, undo })))
    }

    /// A new one in place of what was there. None: another process writes the one that is there.
    pub fn create(cx: &Cx, path: &Path, target: &impl Serialize) -> Result<Option<Self>> {
        let failed = |error: io::Error| Self::failed(path, &error);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        if File::open(path).is_ok_and(|old| old.try_lock().is_err()) {
            return Ok(None);
        }
        let undo = cx.hold(undo::path(path))?;
        let mut head = serde_json::to_vec(&Head { v: VERSION, target }).map_err(|error| failed(error.into()))?;
        head.push(b'\n');
        let mut made = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        made.write_all(&head).map_err(failed)?;
        made.as_file().lock().map_err(failed)?;
        let file = made.persist(path).map_err(|error| failed(error.error))?;
        Ok(Some(Self { path: path.to_owned(), file, pieces: BTreeMap::new(), undo }))
    }

    pub fn add(&mut self, index: u32, piece: Piece) -> Result<()> {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&index.to_le_bytes());
        record[4..36].copy_from_slice(&piece.sum);
        let receipt = piece.receipt.as_bytes();
        let kept = receipt.len().min(RECEIPT);
        record[36..36 + kept].copy_from_slice(&receipt[..kept]);
        self.file.write_all(&record).map_err(|error| Self::failed(&self.path, &error))?;
        self.pieces.insert(index, piece);
        Ok(())
    }

    /// It served its purpose.
    pub async fn remove(self, cx: &Cx) -> Result<()> {
        cx.release(self.undo).await
    }

    fn failed(path: &Path, error: &io::Error) -> Error {
        Error::io(format!("keeping the state of the upload in {}", path.display()), error)
    }
}

/// Target, pieces, and how many bytes of it are whole.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, BTreeMap<u32, Piece>, u64)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let head: Head<T> = serde_json::from_slice(&bytes[..end]).ok()?;
    if head.v != VERSION {
        return None;
    }
    let records = bytes[end..].chunks_exact(RECORD);
    let whole = end + records.len() * RECORD;
    let piece = |record: &[u8]| {
        let index = u32::from_le_bytes(record[..4].try_into().ok()?);
        let sum = record[4..36].try_into().ok()?;
        let receipt = record[36..].split(|byte| *byte == 0).next().unwrap_or_default();
        Some((index, Piece { sum, receipt: String::from_utf8_lossy(receipt).into_owned() }))
    };
    Some((head.target, records.filter_map(piece).collect(), whole as u64))
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;

    fn piece(byte: u8) -> Piece {
        Piece { sum: [byte; 32], receipt: format!("\"{byte}\"") }
    }

    #[tokio::test]
    async fn an_upload_goes_on_where_it_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let path = Ledger::place(&cx, &"disk");
        assert!(Ledger::resume::<String>(&cx, &path).unwrap().is_none());
        let mut ledger = Ledger::create(&cx, &path, &"snap-1").unwrap().unwrap();
        ledger.add(7, piece(7)).unwrap();
        ledger.add(0, piece(1)).unwrap();
        assert!(Ledger::resume::<String>(&cx, &path).unwrap().is_none(), "it is in use");
        assert!(Ledger::create(&cx, &path, &"snap-2").unwrap().is_none(), "it is in use");
        drop(ledger);

        // Cut off in the middle of a record.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[9; 50]).unwrap();
        let (target, mut ledger) = Ledger::resume::<String>(&cx, &path).unwrap().unwrap();
        assert_eq!(target, "snap-1");
        assert_eq!(ledger.pieces, [(0, piece(1)), (7, piece(7))].into());
        ledger.add(3, piece(3)).unwrap();
        drop(ledger);
        let (_, ledger) = Ledger::resume::<String>(&cx, &path).unwrap().unwrap();
        assert_eq!(ledger.pieces.keys().copied().collect::<Vec<_>>(), [0, 3, 7]);
        ledger.remove(&cx).await.unwrap();
        assert!(!path.exists());

        drop(Ledger::create(&cx, &path, &"snap-3").unwrap().unwrap());
        recorder.drain().await.unwrap();
        assert!(!path.exists(), "a failed upload takes it along");
    }

    #[test]
    fn what_is_no_ledger_is_passed_over() {
        for bytes in [&b""[..], b"{}", b"{\"v\":2,\"target\":\"x\"}\n", b"not json\n"] {
            assert!(parse::<String>(bytes).is_none());
        }
    }
}
