//! `artifice`: other files take the place of the artifact's files.

use std::path::PathBuf;

use bakehouse_api::{Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, async_trait, options};
use glob::{GlobError, Pattern};

use super::{Outcome, PostProcessor, Row};
use crate::script::known;

options! {
    /// Makes an artifact of files that some earlier step left on this machine.
    pub struct ArtificeOptions {
        /// Paths or patterns (`*`, `?`, `[a-z]`), relative to the working directory.
        files: Vec<String>,
    }
}

pub const ROW: Row = Row { kind: "artifice", schema: || ArtificeOptions::schema("artifice"), prepare };

struct Artifice(ArtificeOptions);

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = ArtificeOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    if options.files.is_empty() && known(body, "files") {
        diagnostics.push(Diagnostic::error("artifice needs `files`").at(options.spans.at("files")));
    }
    for pattern in &options.files {
        if let Err(error) = Pattern::new(pattern) {
            let wrong = Diagnostic::error(format!("`{pattern}` is not a pattern: {}", error.msg));
            diagnostics.push(wrong.at(options.spans.at("files")));
        }
    }
    (diagnostics.errors() == before).then(|| Box::new(Artifice(options)) as Box<dyn PostProcessor>)
}

fn expand(pattern: &str) -> Result<Vec<PathBuf>> {
    let paths = glob::glob(pattern).map_err(|error| Error::new(Kind::Config, error.msg))?;
    let unreadable = |error: GlobError| super::reading::unreadable(error.path(), error.error());
    paths.map(|path| path.map_err(unreadable)).collect()
}

#[async_trait]
impl PostProcessor for Artifice {
    async fn run(&self, cx: &Cx, _artifact: &Artifact) -> Result<Outcome> {
        let mut files: Vec<PathBuf> = Vec::new();
        for pattern in &self.0.files {
            let found = expand(pattern)?;
            if found.is_empty() {
                cx.warn(format!("artifice: nothing matches `{pattern}`"));
            }
            for path in found {
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        if files.is_empty() {
            return Err(Error::new(Kind::Input, "artifice found none of its `files`")
                .hint("paths are relative to the working directory")
                .at(self.0.spans.at("files")));
        }
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        cx.message(format!("the artifact is now {}", names.join(", ")));
        let artifact = Artifact {
            builder_id: "packer.post-processor.artifice".into(),
            text: format!("Created artifact from files: {}", names.join(", ")),
            files,
            ..Artifact::default()
        };
        Ok(Outcome { artifact: Some(artifact), keep_by_default: true, must_keep: false })
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::testing;

    use super::*;
    use crate::script::testing::{body, findings, list};

    #[tokio::test]
    async fn patterns_choose_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), vec![]);
        for name in ["b.img", "a.img", "c.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let at = |name: &str| format!("{}/{name}", dir.path().display());
        let run = async |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|name| at(name)).collect();
            let patterns = list(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
            let artifice = prepare(&body("artifice", &[("files", patterns)]), &mut Diagnostics::default()).unwrap();
            artifice.run(&cx, &Artifact::default()).await
        };
        let outcome = run(&["*.img", "c.txt", "a.*", "none*"]).await.unwrap();
        let names: Vec<PathBuf> = ["a.img", "b.img", "c.txt"].iter().map(|name| at(name).into()).collect();
        assert_eq!(outcome.artifact.unwrap().files, names);
        assert!(outcome.keep_by_default && !outcome.must_keep);
        assert!(recorder.lines()[0].contains("nothing matches"));
        assert_eq!(run(&["none*"]).await.unwrap_err().to_string(), "artifice found none of its `files`");
    }

    #[test]
    fn mistakes_are_found_without_an_artifact() {
        let mut diagnostics = Diagnostics::default();
        for entries in [vec![], vec![("files", list(&["a[b"]))]] {
            assert!(prepare(&body("artifice", &entries), &mut diagnostics).is_none());
        }
        assert_eq!(findings(&diagnostics), ["artifice needs `files`", "`a[b` is not a pattern: invalid range pattern"]);
    }
}
