//! The structures of ISO 9660 as bytes.

use super::SECTOR;

/// Flags of a directory record.
pub(super) const DIRECTORY: u8 = 0x02;
pub(super) const MORE_EXTENTS: u8 = 0x80;

/// Bytes of a directory record before the identifier.
pub(super) const RECORD_HEAD: usize = 33;
pub(super) const RECORD_MAX: usize = 254;

pub(super) fn both16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
    out.extend(value.to_be_bytes());
}

pub(super) fn both32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
    out.extend(value.to_be_bytes());
}

/// A date in the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: i64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Date {
    /// Days to year, month and day by counting in eras of 400 years that begin in March, where the
    /// leap day comes last.
    pub fn from_unix(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let month_of_year = if month < 10 { month + 3 } else { month - 9 };
        Self {
            year: era * 400 + year + i64::from(month_of_year <= 2),
            month: month_of_year as u8,
            day: (day - (153 * month + 2) / 5 + 1) as u8,
            hour: (rest / 3600) as u8,
            minute: (rest / 60 % 60) as u8,
            second: (rest % 60) as u8,
        }
    }

    /// The form of directory records: years from 1900 in one byte.
    pub fn short(self) -> [u8; 7] {
        let year = (self.year - 1900).clamp(0, 255) as u8;
        [year, self.month, self.day, self.hour, self.minute, self.second, 0]
    }

    /// The form of volume descriptors: digits and a zone.
    fn long(self) -> Vec<u8> {
        let Self { year, month, day, hour, minute, second } = self;
        let mut bytes = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00").into_bytes();
        bytes.push(0);
        bytes
    }
}

pub(super) struct Record<'a> {
    pub id: &'a [u8],
    pub extent: u32,
    pub length: u32,
    pub flags: u8,
    pub date: Date,
    pub system_use: &'a [u8],
}

impl Record<'_> {
    /// Bytes of a record before its system use.
    pub fn head_len(id: usize) -> usize {
        (RECORD_HEAD + id).next_multiple_of(2)
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let head = Self::head_len(self.id.len());
        let len = (head + self.system_use.len()).next_multiple_of(2);
        debug_assert!(len <= RECORD_MAX);
        let start = out.len();
        out.extend([len as u8, 0]);
        both32(out, self.extent);
        both32(out, self.length);
        out.extend(self.date.short());
        out.extend([self.flags, 0, 0]);
        both16(out, 1);
        out.push(self.id.len() as u8);
        out.extend(self.id);
        out.resize(start + head, 0);
        out.extend(self.system_use);
        out.resize(start + len, 0);
    }
}

/// Which of the two trees a volume descriptor describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// ISO 9660 names with Rock Ridge.
    Primary,
    Joliet,
}

pub(super) struct Volume<'a> {
    pub flavour: Flavour,
    pub label: &'a str,
    pub sectors: u32,
    pub path_table_len: u32,
    pub little_table: u32,
    pub big_table: u32,
    pub root: &'a [u8],
    pub date: Date,
}

impl Volume<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = match self.flavour {
            Flavour::Primary => 1,
            Flavour::Joliet => 2,
        };
        out.push(kind);
        out.extend(b"CD001\x01\0");
        self.text(out, "", 32);
        self.text(out, self.label, 32);
        out.extend([0; 8]);
        both32(out, self.sectors);
        let escapes = out.len() + 32;
        if self.flavour == Flavour::Joliet {
            out.extend(b"%/E"); // UCS-2 level 3
        }
        out.resize(escapes, 0);
        both16(out, 1);
        both16(out, 1);
        both16(out, SECTOR as u16);
        both32(out, self.path_table_len);
        out.extend(self.little_table.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.big_table.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.root);
        for width in [128, 128, 128] {
            self.text(out, "", width);
        }
        self.text(out, "BAKEHOUSE", 128);
        for width in [37, 37, 37] {
            self.text(out, "", width);
        }
        out.extend(self.date.long());
        out.extend(self.date.long());
        for _ in 0..2 {
            out.extend([b'0'; 16]); // never expires, is in effect at once
            out.push(0);
        }
        out.push(1);
        out.resize(start + SECTOR, 0);
    }

    /// A field of fixed width, filled with spaces.
    fn text(&self, out: &mut Vec<u8>, text: &str, width: usize) {
        let end = out.len() + width;
        match self.flavour {
            Flavour::Primary => {
                out.extend(text.bytes().take(width));
                out.resize(end, b' ');
            }
            Flavour::Joliet => {
                let spaces = std::iter::repeat(u16::from(b' '));
                out.extend(text.encode_utf16().chain(spaces).take(width / 2).flat_map(u16::to_be_bytes));
                out.resize(end, 0);
            }
        }
    }
}

/// Ends the list of volume descriptors.
pub(super) fn terminator(out: &mut Vec<u8>) {
    let start = out.len();
    out.push(255);
    out.extend(b"CD001\x01");
    out.resize(start + SECTOR, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(Date::from_unix(0).long(), b"1970010100000000\0");
        assert_eq!(Date::from_unix(951_826_200).long(), b"2000022912100000\0");
        assert_eq!(Date::from_unix(1_735_689_599).long(), b"2024123123595900\0");
        assert_eq!(Date::from_unix(951_826_200).short(), [100, 2, 29, 12, 10, 0, 0]);
    }
}
