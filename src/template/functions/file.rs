//! Files and paths.

use std::path::{Component, Path, PathBuf};

use bakehouse_api::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Args, CallCx, CallError, Outcome, strings};

/// Folders below this depth are a loop of links.
const DEPTH_LIMIT: usize = 64;

fn home(cx: &CallCx, args: &Args<'_>, path: &str) -> Result<PathBuf, CallError> {
    let Some(rest) = path.strip_prefix('~') else { return Ok(PathBuf::from(path)) };
    let home = cx.env.get("HOME").filter(|home| !home.is_empty());
    match (rest.strip_prefix('/'), home) {
        (Some(rest), Some(home)) => Ok(Path::new(home).join(rest)),
        (None, Some(home)) if rest.is_empty() => Ok(PathBuf::from(home)),
        (None, _) if !rest.is_empty() => Err(args.wrong(0, "the home of another user cannot be expanded")),
        _ => Err(args.wrong(0, "the environment has no HOME")),
    }
}

/// A path of the template: relative to the working directory, as in Packer.
fn locate(cx: &CallCx, args: &Args<'_>) -> Result<PathBuf, CallError> {
    Ok(cx.cwd.join(home(cx, args, args.str(0))?))
}

fn read(cx: &CallCx, args: &Args<'_>) -> Result<Vec<u8>, CallError> {
    let path = locate(cx, args)?;
    std::fs::read(&path).map_err(|error| args.wrong(0, format!("cannot read {}: {error}", path.display())))
}

pub(super) fn file(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let text = String::from_utf8(read(cx, args)?);
    text.map(Value::from).map_err(|_| args.wrong(0, "the file is not a UTF-8 text; filebase64 reads any bytes"))
}

pub(super) fn filebase64(cx: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(STANDARD.encode(read(cx, args)?).into())
}

pub(super) fn fileexists(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let path = locate(cx, args)?;
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => Ok(true.into()),
        Ok(_) => Err(args.wrong(0, format!("{} is not a regular file", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false.into()),
        Err(error) => Err(args.wrong(0, format!("cannot look at {}: {error}", path.display()))),
    }
}

pub(super) fn fileset(cx: &CallCx, args: &Args<'_>) -> Outcome {
    let (folder, pattern) = (locate(cx, args)?, args.str(1));
    let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = glob.map_err(|error| args.wrong(1, error))?.compile_matcher();
    let mut found = Vec::new();
    walk(&folder, Path::new(""), 0, &mut found)
        .map_err(|error| args.wrong(0, format!("cannot list {}: {error}", folder.display())))?;
    found.retain(|path| matcher.is_match(path));
    found.sort_unstable();
    Ok(strings(found))
}

fn walk(folder: &Path, below: &Path, depth: usize, found: &mut Vec<String>) -> std::io::Result<()> {
    if depth > DEPTH_LIMIT || (depth == 0 && !folder.exists()) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder.join(below))? {
        let path = below.join(entry?.file_name());
        match std::fs::metadata(folder.join(&path)) {
            Ok(meta) if meta.is_dir() => walk(folder, &path, depth + 1, found)?,
            Ok(meta) if meta.is_file() => found.push(path.to_string_lossy().into_owned()),
            // Sockets, devices and dangling links are no files.
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn abspath(cx: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(clean(&cx.cwd.join(args.str(0))).into())
}

pub(super) fn pathexpand(cx: &CallCx, args: &Args<'_>) -> Outcome {
    Ok(home(cx, args, args.str(0))?.to_string_lossy().into_owned().into())
}

/// Without `.`, `..` and double slashes, as far as the text alone tells.
fn clean(path: &Path) -> String {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let cleaned: PathBuf = parts.into_iter().collect();
    if cleaned.as_os_str().is_empty() { ".".into() } else { cleaned.to_string_lossy().into_owned() }
}

pub(super) fn basename(_: &CallCx, args: &Args<'_>) -> Outcome {
    let path = args.str(0);
    let trimmed = path.trim_end_matches('/');
    Ok(match (path, trimmed) {
        ("", _) => ".".into(),
        (_, "") => "/".into(),
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed).into(),
    })
}

pub(super) fn dirname(_: &CallCx, args: &Args<'_>) -> Outcome {
    let folder = match args.str(0).rfind('/') {
        Some(slash) => &args.str(0)[..=slash],
        None => "",
    };
    Ok(clean(Path::new(folder)).into())
}
