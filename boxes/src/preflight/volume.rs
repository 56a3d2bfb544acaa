//! What a partition holds.

use super::fat::Fat;
use super::source::{Source, Window, le16, le32};
use super::table::Partition;
use super::tree::Tree;

pub struct Volume {
    pub partition: Partition,
    pub holds: Holds,
    /// Of the file system, as `root=UUID=` has it.
    pub uuid: Option<String>,
    pub label: Option<String>,
}

pub enum Holds {
    Files(Tree),
    /// Something with a name that is not read here, and why not.
    Unread {
        what: &'static str,
        why: String,
    },
    Swap,
    /// Nothing known: raw space, or what a boot loader keeps for itself.
    Nothing,
}

impl Volume {
    pub fn tree(&self) -> Option<&Tree> {
        match &self.holds {
            Holds::Files(tree) => Some(tree),
            _ => None,
        }
    }
}

/// Damage shows as what cannot be read.
pub fn look(source: &Source, partition: &Partition) -> Volume {
    let disk = source.window(partition.start, partition.size);
    let volume = |holds, uuid, label| Volume { partition: partition.clone(), holds, uuid, label };
    // Any superblock that is looked for here lies in these.
    let mut head = vec![0; 72 << 10];
    let length = (partition.size.min(head.len() as u64)) as usize;
    if disk.read_at(0, &mut head[..length]).is_err() {
        return volume(Holds::Nothing, None, None); // it begins beyond the end, which the table's check tells
    }
    let unread = |what, why: &str| Holds::Unread { what, why: why.to_owned() };
    const NO_READER: &str = "there is no reader for it here";
    let at = |offset: usize, magic: &[u8]| head[offset..].starts_with(magic);
    if le16(&head, 1080) == 0xef53 {
        return ext(disk, &head, volume);
    }
    if let Ok(Some(fat)) = Fat::open(&disk) {
        let (uuid, label) = (Some(fat.serial.clone()), Some(fat.label.clone()));
        return volume(Holds::Files(Tree::Fat(fat)), uuid, label);
    }
    match () {
        () if at(0, b"XFSB") => {
            volume(unread("XFS", NO_READER), Some(uuid(&head[32..48])), Some(text(&head[108..120])))
        }
        () if at(0x1_0040, b"_BHRfS_M") => {
            let label = text(&head[0x1_012b..0x1_022b]);
            volume(unread("Btrfs", NO_READER), Some(uuid(&head[0x1_0020..0x1_0030])), Some(label))
        }
        () if at(0, b"LUKS\xba\xbe") => volume(unread("a LUKS volume", "it is encrypted"), None, None),
        () if (0..4).any(|sector| at(sector * 512, b"LABELONE")) => {
            volume(unread("an LVM volume", "its logical volumes are not put together here"), None, None)
        }
        () if at(3, b"NTFS    ") => volume(unread("NTFS", NO_READER), None, None),
        () if le32(&head, 1024) == 0xe0f5_e1e2 => volume(unread("EROFS", NO_READER), None, None),
        () if at(0, b"hsqs") => volume(unread("SquashFS", NO_READER), None, None),
        () if at(4086, b"SWAPSPACE2") => {
            volume(Holds::Swap, Some(uuid(&head[1036..1052])), Some(text(&head[1052..1068])))
        }
        () => volume(Holds::Nothing, None, None),
    }
}

fn ext(disk: Window, head: &[u8], volume: impl Fn(Holds, Option<String>, Option<String>) -> Volume) -> Volume {
    let (id, label) = (uuid(&head[1128..1144]), text(&head[1144..1160]));
    let holds = match ext4_view::Ext4::load(Box::new(disk)) {
        Ok(ext) => Holds::Files(Tree::Ext(ext)),
        Err(error) => Holds::Unread { what: "an ext file system", why: error.to_string() },
    };
    volume(holds, Some(id), Some(label))
}

fn uuid(bytes: &[u8]) -> String {
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
