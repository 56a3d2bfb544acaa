//! The mark on whatever a build makes, until it is the user's: when it was made, and by which run. By it a run that
//! was killed is cleaned up after where nobody has its journal.

use std::time::SystemTime;

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::Tag;
use bakehouse_api::{Cx, Result};

use crate::client::{ApiError, Ec2, Reason};

/// The tag that holds it.
pub const RUN_TAG: &str = "bakehouse-run";
/// What it holds where it may not be taken off: no mark any more.
const DONE: &str = "done";
/// Of a run's id.
const RUN: usize = 8;

#[derive(Debug, PartialEq)]
pub struct Mark {
    pub made: SystemTime,
    /// The beginning of the run's id.
    pub run: String,
}

/// A new one: "20260131T120000Z-1a2b3c4d-5e6f70819203". AWS also knows a request by it that we had to repeat.
pub fn token(cx: &Cx) -> String {
    let run = cx.settings().run_uuid.get(..RUN).unwrap_or("00000000");
    let own = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{run}-{}", stamp(SystemTime::now()), &own[..12])
}

/// None where it was not made by [`token`].
pub fn read(token: &str) -> Option<Mark> {
    let (made, rest) = token.split_once('-')?;
    let (run, own) = rest.split_once('-')?;
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(run, RUN) && hex(own, 12)).then_some(())?;
    Some(Mark { made: time(made)?, run: run.to_owned() })
}

fn stamp(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = DateTime::from_secs(seconds.try_into().unwrap_or_default()).fmt(DateTimeFormat::DateTime);
    text.unwrap_or_default().replace(['-', ':'], "")
}

fn time(stamp: &str) -> Option<SystemTime> {
    let part = |from, to| stamp.get(from..to);
    let date = format!("{}-{}-{}", part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let time = format!("{}:{}:{}", part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let at = DateTime::from_str(&format!("{date}T{time}Z"), DateTimeFormat::DateTime).ok()?;
    SystemTime::try_from(at).ok()
}

/// Takes the mark off: what has none is the user's.
pub async fn unmark(ec2: &Ec2, ids: impl IntoIterator<Item = String>) -> Result<()> {
    let ids: Vec<String> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mark = Tag::builder().key(RUN_TAG);
    let request = ec2.api.delete_tags().set_resources(Some(ids.clone())).tags(mark.clone().build());
    let Err(error) = request.send().await.map_err(ApiError::from) else { return Ok(()) };
    // Policies that were written for Packer let a build set tags, and not remove them.
    if error.is(Reason::Denied) {
        let request = ec2.api.create_tags().set_resources(Some(ids)).tags(mark.value(DONE).build());
        if request.send().await.is_ok() {
            return Ok(());
        }
    }
    Err(ec2.explain("taking the mark of this build off", error).await)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_mark_tells_when_and_by_whom() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800);
        assert_eq!(stamp(at), "20260131T120000Z");
        let mark = read("20260131T120000Z-1a2b3c4d-5e6f70819203");
        assert_eq!(mark, Some(Mark { made: at, run: "1a2b3c4d".into() }));
    }

    #[test]
    fn what_somebody_else_wrote_there_is_no_mark() {
        for other in ["", DONE, "20260131T120000Z-1a2b3c4d", "soon-1a2b3c4d-5e6f70819203", "20260131T120000Z-x-y"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
