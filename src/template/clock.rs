//! Times as templates write them: RFC 3339, Go's layouts, strftime.

use std::time::SystemTime;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// A time with the offset it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub civil: DateTime,
    pub offset: Offset,
}

impl Moment {
    pub fn utc(time: SystemTime) -> Self {
        // Clocks beyond the year 9999 are as wrong as any other value.
        let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        Self::at(timestamp, Offset::UTC)
    }

    fn at(timestamp: Timestamp, offset: Offset) -> Self {
        Self { civil: offset.to_datetime(timestamp), offset }
    }

    pub fn from_unix(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(|timestamp| Self::at(timestamp, Offset::UTC))
    }

    pub fn unix(&self) -> i64 {
        self.offset.to_timestamp(self.civil).map_or(0, Timestamp::as_second)
    }

    /// None when the result is no time of a calendar of four digits.
    pub fn plus(&self, duration: SignedDuration) -> Option<Self> {
        let timestamp = self.offset.to_timestamp(self.civil).ok()?.checked_add(duration).ok()?;
        Some(Self::at(timestamp, self.offset))
    }

    /// `2020-02-03T14:05:06.5+02:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't'])?;
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return None;
        }
        let date = Date::new(digits(year)? as i16, digits(month)? as i8, digits(day)? as i8).ok()?;
        let zone = rest.find(['Z', 'z', '+', '-'])?;
        let (clock, zone) = rest.split_at(zone);
        let offset = match zone {
            "Z" | "z" => Offset::UTC,
            _ => {
                let (hours, minutes) = zone[1..].split_once(':')?;
                let seconds = digits(hours)? as i32 * 3600 + digits(minutes)? as i32 * 60;
                Offset::from_seconds(if zone.starts_with('-') { -seconds } else { seconds }).ok()?
            }
        };
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let mut parts = clock.split(':');
        let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (hour.len(), minute.len(), second.len()) != (2, 2, 2) {
            return None;
        }
        let time =
            Time::new(digits(hour)? as i8, digits(minute)? as i8, digits(second)? as i8, digits(&fraction)? as i32)
                .ok()?;
        Some(Self { civil: DateTime::from_parts(date, time), offset })
    }

    pub fn rfc3339(&self) -> String {
        self.layout("2006-01-02T15:04:05Z07:00")
    }

    pub fn strftime(&self, format: &str) -> Result<String, String> {
        let zone = if self.offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(self.offset) };
        let timestamp = self.offset.to_timestamp(self.civil).map_err(|error| error.to_string())?;
        jiff::fmt::strtime::format(format, &Zoned::new(timestamp, zone)).map_err(|error| error.to_string())
    }

    pub fn month_name(&self) -> &'static str {
        MONTHS[self.civil.month() as usize - 1]
    }

    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS[self.civil.weekday().to_sunday_zero_offset() as usize]
    }

    /// The hour of a clock with twelve.
    pub fn hour12(&self) -> i8 {
        match self.civil.hour() % 12 {
            0 => 12,
            hour => hour,
        }
    }

    /// `+0230`, with `separator` between hours and minutes.
    pub fn offset_text(&self, separator: &str) -> String {
        let seconds = self.offset.seconds();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }

    /// In a layout of Go: an example of how Mon Jan 2 15:04:05 2006 MST is to look.
    pub fn layout(&self, layout: &str) -> String {
        let mut out = String::new();
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            let length = match WORDS.iter().find(|(word, _)| matches(rest, word)) {
                Some((word, show)) => {
                    out.push_str(&show(self));
                    word.len()
                }
                None => self.fraction(rest, &mut out).unwrap_or_else(|| {
                    out.push(c);
                    c.len_utf8()
                }),
            };
            rest = &rest[length..];
        }
        out
    }

    /// `.000` or `,999`: fractions of a second. How much of the layout that was.
    fn fraction(&self, layout: &str, out: &mut String) -> Option<usize> {
        let separator = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
        let digit = layout[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let places = layout[1..].chars().take_while(|c| *c == digit).count();
        if layout[1 + places..].starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let nanoseconds = format!("{:09}", self.civil.subsec_nanosecond());
        let shown = &nanoseconds[..places.min(9)];
        let shown = if digit == '9' { shown.trim_end_matches('0') } else { shown };
        if !shown.is_empty() {
            out.push(separator);
            out.push_str(shown);
        }
        Some(1 + places)
    }
}

fn digits(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

type Show = fn(&Moment) -> String;

/// Longer words before those they begin with.
#[rustfmt::skip]
const WORDS: &[(&str, Show)] = &[
    ("January", |m| m.month_name().into()),
    ("Jan", |m| m.month_name()[..3].into()),
    ("Monday", |m| m.weekday_name().into()),
    ("Mon", |m| m.weekday_name()[..3].into()),
    ("MST", |m| if m.offset == Offset::UTC { "UTC".into() } else { m.offset_text("") }),
    ("002", |m| format!("{:03}", m.civil.day_of_year())),
    ("01", |m| format!("{:02}", m.civil.month())),
    ("02", |m| format!("{:02}", m.civil.day())),
    ("03", |m| format!("{:02}", m.hour12())),
    ("04", |m| format!("{:02}", m.civil.minute())),
    ("05", |m| format!("{:02}", m.civil.second())),
    ("06", |m| format!("{:02}", m.civil.year() % 100)),
    ("15", |m| format!("{:02}", m.civil.hour())),
    ("1", |m| m.civil.month().to_string()),
    ("2006", |m| format!("{:04}", m.civil.year())),
    ("2", |m| m.civil.day().to_string()),
    ("__2", |m| format!("{:3}", m.civil.day_of_year())),
    ("_2006", |m| format!("_{:04}", m.civil.year())),
    ("_2", |m| format!("{:2}", m.civil.day())),
    ("3", |m| m.hour12().to_string()),
    ("4", |m| m.civil.minute().to_string()),
    ("5", |m| m.civil.second().to_string()),
    ("PM", |m| if m.civil.hour() < 12 { "AM".into() } else { "PM".into() }),
    ("pm", |m| if m.civil.hour() < 12 { "am".into() } else { "pm".into() }),
    ("-07:00", |m| m.offset_text(":")),
    ("-0700", |m| m.offset_text("")),
    ("-07", |m| m.offset_text("")[..3].into()),
    ("Z07:00", |m| zulu(m, m.offset_text(":"))),
    ("Z0700", |m| zulu(m, m.offset_text(""))),
    ("Z07", |m| zulu(m, m.offset_text("")[..3].into())),
];

fn zulu(moment: &Moment, offset: String) -> String {
    if moment.offset == Offset::UTC { "Z".into() } else { offset }
}

/// The short names stand for themselves only where no small letter follows: "Money" is a word.
fn matches(layout: &str, word: &str) -> bool {
    let Some(after) = layout.strip_prefix(word) else { return false };
    !matches!(word, "Jan" | "Mon") || !after.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let moment = Moment::parse("2020-02-03T14:05:06.078+02:30").expect("valid");
        let table = [
            ("2006-01-02 15:04:05", "2020-02-03 14:05:06"),
            ("Mon Jan _2 3:04PM 06 MST", "Mon Feb  3 2:05PM 20 +0230"),
            ("Monday, January 2 002", "Monday, February 3 034"),
            ("Z07:00 -0700 -07 .000 .99999", "+02:30 +0230 +02 .078 .078"),
            ("20060102-150405", "20200203-140506"),
            ("Money Janet", "Money Janet"),
            ("5.000", "6.078"),
            ("é", "é"),
        ];
        for (layout, shown) in table {
            assert_eq!(moment.layout(layout), shown);
        }
    }

    #[test]
    fn rfc3339_and_back() {
        for text in ["2020-02-03T14:05:06Z", "2020-02-29T23:59:59-05:00", "1969-12-31T00:00:00+14:00"] {
            assert_eq!(Moment::parse(text).expect(text).rfc3339(), text);
        }
        let wrong = [
            "",
            "2020-02-03",
            "2020-2-3T14:05:06Z",
            "2021-02-29T00:00:00Z",
            "2020-02-03T24:00:00Z",
            "2020-02-03T14:05Z",
        ];
        for text in wrong {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn strftime() {
        let moment = Moment::from_unix(1_580_738_706).expect("in range");
        assert_eq!(moment.strftime("%Y-%m-%d %H:%M:%S %j"), Ok("2020-02-03 14:05:06 034".into()));
        assert_eq!(moment.unix(), 1_580_738_706);
    }
}
