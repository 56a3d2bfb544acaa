//! `box ls`

use std::path::PathBuf;

use bakehouse_api::Result;
use bakehouse_boxes::read;

use super::super::{End, say};
use super::{Bar, size};

#[derive(clap::Args)]
pub struct Args {
    /// Boxes.
    #[arg(required = true, value_name = "BOX")]
    files: Vec<PathBuf>,
    /// One JSON object per box.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<End> {
    for path in &args.files {
        let bar = Bar::new(path);
        let summary = read::list(path, &mut bar.step())?;
        drop(bar);
        let members = &summary.members;
        if args.json {
            let members: Vec<_> =
                members.iter().map(|member| serde_json::json!({"name": member.name, "size": member.size})).collect();
            say(serde_json::json!({"file": path.display().to_string(), "compression": summary.compression,
                "metadata": summary.metadata, "members": members}));
            continue;
        }
        let architecture = summary.architecture().map(|word| format!(" on {word}")).unwrap_or_default();
        let packed = path.metadata().map_or(0, |meta| meta.len());
        say(format_args!(
            "{}: a box for {}{architecture}, {}, compression {}",
            path.display(),
            summary.provider(),
            size(packed),
            summary.compression
        ));
        for member in members {
            say(format_args!("  {:>12}  {}", size(member.size), member.name));
        }
    }
    Ok(End::Success)
}
