//! What a kernel image and a program say of themselves.

use super::Architecture;
use super::source::{le16, le32};

/// As much of an image as is read for it.
pub const HEAD: u64 = 128 << 10;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// "6.1.0-25-cloud-amd64".
    pub version: Option<String>,
    pub architecture: Option<Architecture>,
}

/// By the headers of Linux's boot protocols.
pub fn image(bytes: &[u8]) -> Option<Image> {
    if bytes.get(0x202..0x206) == Some(b"HdrS") {
        let text = bytes.get(usize::from(le16(bytes, 0x20e)) + 0x200..).unwrap_or_default();
        let word = text.split(|byte| byte.is_ascii_whitespace() || *byte == 0).next().unwrap_or_default();
        let version = std::str::from_utf8(word).ok().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let long_mode = le16(bytes, 0x236) & 1 != 0;
        let architecture = if long_mode { Architecture::X86_64 } else { Architecture::I386 };
        return Some(Image { version: version.map(str::to_owned), architecture: Some(architecture) });
    }
    let arm = bytes.get(56..60) == Some(b"ARM\x64") || pe_machine(bytes) == Some(0xaa64);
    if arm {
        return Some(Image { version: None, architecture: Some(Architecture::Arm64) });
    }
    bytes.starts_with(&[0x1f, 0x8b]).then(Image::default)
}

fn pe_machine(bytes: &[u8]) -> Option<u16> {
    let header = bytes.starts_with(b"MZ").then(|| le32(bytes, 0x3c) as usize)?;
    (bytes.get(header..header.checked_add(4)?)? == b"PE\0\0").then(|| le16(bytes, header + 4))
}

/// Of an ELF program; none where it is none, or for a processor that EC2 never had.
pub fn program(bytes: &[u8]) -> Option<Architecture> {
    if !bytes.starts_with(b"\x7fELF") || bytes.len() < 20 {
        return None;
    }
    match le16(bytes, 18) {
        3 => Some(Architecture::I386),
        62 => Some(Architecture::X86_64),
        183 => Some(Architecture::Arm64),
        _ => None,
    }
}
