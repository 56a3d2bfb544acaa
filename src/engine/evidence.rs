//! What a failed build leaves to look at, collected before anything is cleaned up.

use std::path::PathBuf;
use std::time::Duration;

use bakehouse_api::{Cx, Machine};

const DEADLINE: Duration = Duration::from_secs(20);
const FOLDER: &str = "bakehouse-evidence";

/// Serial log, screenshot and the like in a directory of their own below the working directory.
/// Empty when there is nothing to be had.
pub async fn collect(cx: &Cx, machine: &mut dyn Machine) -> Vec<PathBuf> {
    let root = cx.settings().cwd.join(FOLDER);
    let dir = root.join(format!("{}-{}", file_name(cx.build()), jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S")));
    if let Err(error) = std::fs::create_dir_all(&dir) {
        cx.warn(format!("no evidence of the failure: cannot make {}: {error}", dir.display()));
        return Vec::new();
    }
    let work = async { Ok(machine.evidence(cx, &dir).await) };
    let found = tokio::time::timeout(DEADLINE, cx.interruptible(work)).await;
    let files = found.ok().and_then(Result::ok).unwrap_or_default();
    // Only while they are empty.
    let _ = std::fs::remove_dir(&dir);
    let _ = std::fs::remove_dir(&root);
    files
}

/// A build's name may hold anything.
fn file_name(build: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let name: String = build.chars().map(safe).collect();
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_stay_inside_the_folder() {
        assert_eq!(super::file_name("web.qemu.debian"), "web.qemu.debian");
        assert_eq!(super::file_name("../up and away"), "_up_and_away");
    }
}
