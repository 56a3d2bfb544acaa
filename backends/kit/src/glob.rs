//! File names with wildcards as templates write them: `*`, `?` and `[...]`, which never match a `/`.

use std::io;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;

pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The files and directories that `pattern` names, sorted; relative ones are looked for in `base`.
/// A name without wildcards gives itself, whether it exists or not.
pub fn expand(base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![base.to_owned()];
    for component in Path::new(pattern).components() {
        let text = component.as_os_str().to_string_lossy();
        found = match component {
            Component::CurDir => found,
            Component::Normal(_) if is_pattern(&text) => matches(&found, &text)?,
            _ => found.into_iter().map(|path| path.join(component)).collect(),
        };
    }
    if is_pattern(pattern) {
        found.retain(|path| path.symlink_metadata().is_ok());
    }
    Ok(found)
}

fn matches(dirs: &[PathBuf], pattern: &str) -> io::Result<Vec<PathBuf>> {
    // Braces are no wildcards here, though globset knows them.
    let literal_braces = pattern.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&literal_braces)
        .build()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
        .compile_matcher();
    let mut found = Vec::new();
    for dir in dirs.iter().filter(|dir| dir.is_dir()) {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if glob.is_match(entry.file_name()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stay_within_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/one.txt", "a/two.txt", "b/one.txt", "b/{x}.cfg", "a/.hidden"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = expand(dir.path(), pattern).unwrap();
            found.iter().map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(names("*/one.txt"), ["a/one.txt", "b/one.txt"]);
        assert_eq!(names("./a/*"), ["a/.hidden", "a/one.txt", "a/two.txt"]);
        assert_eq!(names("[!a]/{x}.c?g"), ["b/{x}.cfg"]);
        assert_eq!(names("*.txt"), [""; 0]);
        assert_eq!(names("missing.txt"), ["missing.txt"]);
        assert!(expand(dir.path(), "[").is_err());
    }
}
