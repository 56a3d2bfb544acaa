//! Rock Ridge: POSIX names and permissions in the system use field of directory records. What does
//! not fit there goes into a continuation area, which no entry may cross a sector of.

use super::SECTOR;
use super::record::{Date, RECORD_MAX, Record, both32};

const CE_LEN: usize = 28;
/// A name entry is at most 255 bytes with its head.
const NAME_CHUNK: usize = 250;
const HAS_PX_NM_TF: u8 = 0x01 | 0x08 | 0x80;
const HAS_PX_TF: u8 = 0x01 | 0x80;

/// Where records keep what they have no room for.
#[derive(Default)]
pub(super) struct Continuation {
    pub bytes: Vec<u8>,
}

/// A place in the continuation area.
#[derive(Clone, Copy, Debug)]
struct Overflow {
    offset: usize,
    len: usize,
}

impl Continuation {
    fn push(&mut self, entries: &[u8]) -> Overflow {
        let used = self.bytes.len() % SECTOR;
        if used + entries.len() > SECTOR {
            self.bytes.resize(self.bytes.len().next_multiple_of(SECTOR), 0);
        }
        let place = Overflow { offset: self.bytes.len(), len: entries.len() };
        self.bytes.extend(entries);
        place
    }
}

/// The system use of one record; the sector of the continuation area is known only later.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemUse {
    inline: Vec<u8>,
    overflow: Option<Overflow>,
}

impl SystemUse {
    pub fn bytes(&self, continuation: u32) -> Vec<u8> {
        let mut bytes = self.inline.clone();
        if let Some(overflow) = self.overflow {
            bytes.extend([b'C', b'E', CE_LEN as u8, 1]);
            both32(&mut bytes, continuation + (overflow.offset / SECTOR) as u32);
            both32(&mut bytes, (overflow.offset % SECTOR) as u32);
            both32(&mut bytes, overflow.len as u32);
        }
        bytes
    }

    /// For a file or directory called `name`, whose record has an identifier of `id_len` bytes.
    pub fn named(name: &str, id_len: usize, posix: Posix, continuation: &mut Continuation) -> Self {
        let mut inline = features(HAS_PX_NM_TF);
        posix.write(&mut inline);
        let names = name_entries(name);
        let room = RECORD_MAX - Record::head_len(id_len);
        if inline.len() + names.len() <= room {
            inline.extend(names);
            return Self { inline, overflow: None };
        }
        Self { inline, overflow: Some(continuation.push(&names)) }
    }

    /// For the `.` and `..` records.
    pub fn dot(posix: Posix) -> Self {
        let mut inline = features(HAS_PX_TF);
        posix.write(&mut inline);
        Self { inline, overflow: None }
    }

    /// For the `.` record of the root, which announces the protocol.
    pub fn root(posix: Posix, continuation: &mut Continuation) -> Self {
        let mut dot = Self::dot(posix);
        dot.inline.splice(0..0, [b'S', b'P', 7, 1, 0xBE, 0xEF, 0]);
        dot.overflow = Some(continuation.push(&extension_reference()));
        dot
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Posix {
    /// Type and permission bits.
    pub mode: u32,
    pub links: u32,
    pub date: Date,
}

impl Posix {
    fn write(self, out: &mut Vec<u8>) {
        out.extend(b"PX\x24\x01");
        for value in [self.mode, self.links, 0, 0] {
            both32(out, value);
        }
        const MODIFIED_ACCESSED_CHANGED: u8 = 0x0E;
        out.extend([b'T', b'F', 26, 1, MODIFIED_ACCESSED_CHANGED]);
        for _ in 0..3 {
            out.extend(self.date.short());
        }
    }
}

fn features(flags: u8) -> Vec<u8> {
    vec![b'R', b'R', 5, 1, flags]
}

fn name_entries(name: &str) -> Vec<u8> {
    let chunks = name.len().div_ceil(NAME_CHUNK);
    let mut entries = Vec::new();
    for (i, chunk) in name.as_bytes().chunks(NAME_CHUNK).enumerate() {
        let continues = u8::from(i + 1 < chunks);
        entries.extend([b'N', b'M', chunk.len() as u8 + 5, 1, continues]);
        entries.extend(chunk);
    }
    entries
}

fn extension_reference() -> Vec<u8> {
    let id = "RRIP_1991A";
    let description = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    let source = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY \
                  VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let texts = [id, description, source];
    let len = 8 + texts.iter().map(|text| text.len()).sum::<usize>();
    let mut entry = vec![b'E', b'R', len as u8, 1];
    entry.extend(texts.iter().map(|text| text.len() as u8));
    entry.push(1);
    entry.extend(texts.iter().flat_map(|text| text.bytes()));
    entry
}
