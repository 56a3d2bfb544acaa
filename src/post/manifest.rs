//! `manifest`: a JSON file that lists what was built, by this run and by earlier ones.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bakehouse_api::{Artifact, Body, Cx, Diagnostic, Diagnostics, Error, Kind, Options, Result, async_trait, options};
use bakehouse_kit::output::{Output, folder};
use serde::{Deserialize, Serialize};

use super::{Outcome, PostProcessor, Row};

/// Writing a manifest takes milliseconds: who holds the lock longer is stuck.
const LOCK_DEADLINE: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(100);

options! {
    /// Lists the artifacts of all builds in a JSON file.
    pub struct ManifestOptions {
        /// The JSON file. Runs append to it; with `-force` each run starts it anew.
        output: PathBuf = "packer-manifest.json".into(),
        /// List file names without their folders.
        strip_path: bool = false,
        /// List no time of the build, so that equal builds give equal files.
        strip_time: bool = false,
        /// Whatever else the entry of the build is to hold.
        custom_data: BTreeMap<String, String>,
    }
}

pub const ROW: Row = Row { kind: "manifest", schema: || ManifestOptions::schema("manifest"), prepare };

struct ManifestWriter {
    options: ManifestOptions,
    build_name: String,
    builder_type: String,
}

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn PostProcessor>> {
    let options = ManifestOptions::from_body(body, diagnostics)?;
    if options.output.file_name().is_none() {
        diagnostics.push(Diagnostic::error("`output` must name a file").at(options.spans.at("output")));
        return None;
    }
    let (build_name, builder_type) = (body.build_name.clone(), body.builder_type.clone());
    Some(Box::new(ManifestWriter { options, build_name, builder_type }))
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Manifest {
    builds: Vec<Build>,
    last_run_uuid: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Build {
    name: String,
    builder_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_time: Option<u64>,
    files: Option<Vec<Entry>>,
    artifact_id: String,
    packer_run_uuid: String,
    custom_data: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    name: String,
    size: u64,
}

impl ManifestWriter {
    fn build(&self, cx: &Cx, artifact: &Artifact) -> Build {
        let options = &self.options;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let files: Vec<Entry> = artifact.files.iter().map(|path| self.entry(path)).collect();
        Build {
            name: self.build_name.clone(),
            builder_type: self.builder_type.clone(),
            build_time: (!options.strip_time).then_some(now),
            files: (!files.is_empty()).then_some(files),
            artifact_id: artifact.id.clone(),
            packer_run_uuid: cx.settings().run_uuid.clone(),
            custom_data: (!options.custom_data.is_empty()).then(|| options.custom_data.clone()),
        }
    }

    fn entry(&self, path: &Path) -> Entry {
        let name = if self.options.strip_path { path.file_name().map(Path::new).unwrap_or(path) } else { path };
        Entry { name: name.display().to_string(), size: path.metadata().map_or(0, |meta| meta.len()) }
    }
}

/// Locks the folder, not the file: the file is replaced while the lock is held.
async fn lock(cx: &Cx, path: &Path) -> Result<File> {
    let dir = folder(path);
    let failed = |error: std::io::Error| Error::io(format!("locking {}", dir.display()), &error);
    std::fs::create_dir_all(&dir).map_err(failed)?;
    let file = File::open(&dir).map_err(failed)?;
    let what = format!("another build that writes {}", path.display());
    cx.wait_for(&what, LOCK_DEADLINE, LOCK_POLL, || {
        let locked = match file.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        };
        std::future::ready(locked)
    })
    .await?;
    Ok(file)
}

fn read(path: &Path) -> Result<Manifest> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Manifest::default()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Input, format!("{} is not a manifest: {error}", path.display()))
                .hint("move it away, or choose another `output`")
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Manifest::default()),
        Err(error) => Err(super::reading::unreadable(path, &error)),
    }
}

/// As Go writes it, which is what tools that read manifests have always got.
fn to_json(manifest: &Manifest) -> Result<String> {
    let text = serde_json::to_string_pretty(manifest).map_err(|error| Error::new(Kind::Internal, error))?;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // They stand in strings only.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped += &format!("\\u{:04x}", c as u32),
            _ => escaped.push(c),
        }
    }
    Ok(escaped)
}

#[async_trait]
impl PostProcessor for ManifestWriter {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome> {
        let path = &self.options.output;
        let _lock = lock(cx, path).await.map_err(|error| error.at(self.options.spans.at("output")))?;
        let mut manifest = read(path).map_err(|error| error.at(self.options.spans.at("output")))?;
        let run = &cx.settings().run_uuid;
        if cx.settings().force && manifest.last_run_uuid != *run {
            manifest.builds.clear();
        }
        manifest.builds.push(self.build(cx, artifact));
        manifest.last_run_uuid = run.clone();
        let json = to_json(&manifest)?;
        let mut output = Output::create(cx, path)?;
        let written = output.write_all(json.as_bytes());
        output.settle(written)?;
        cx.message(format!("listed in {}", path.display()));
        Ok(Outcome { artifact: None, keep_by_default: true, must_keep: true })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bakehouse_api::{Settings, Value, testing};

    use super::*;
    use crate::script::testing::{body, map};

    fn cx(dir: &Path, force: bool, run: &str) -> Cx {
        let (_, recorder) = testing::cx(dir, vec![]);
        let settings = Settings { force, run_uuid: run.into(), ..Settings::default() };
        let (events, undos, prompts) = (recorder.clone(), recorder.clone(), recorder);
        Cx::new("test", dir.into(), Arc::new(settings), events, undos, prompts, Default::default(), Default::default())
    }

    fn writer(dir: &Path, more: &[(&str, Value)]) -> Box<dyn PostProcessor> {
        let mut entries = vec![("output", Value::from(dir.join("m.json").to_str().unwrap()))];
        entries.extend_from_slice(more);
        prepare(&body("manifest", &entries), &mut Diagnostics::default()).unwrap()
    }

    fn artifact(dir: &Path) -> Artifact {
        let file = dir.join("disk.qcow2");
        std::fs::write(&file, "12345").unwrap();
        Artifact { id: "VM".into(), files: vec![file], ..Artifact::default() }
    }

    async fn read_json(dir: &Path) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(dir.join("m.json")).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_text_is_byte_for_byte_packers() {
        let dir = tempfile::tempdir().unwrap();
        let more = [
            ("strip_path", true.into()),
            ("strip_time", true.into()),
            ("custom_data", map(&[("a", "x<y>&z"), ("n", "2")])),
        ];
        let outcome = writer(dir.path(), &more).run(&cx(dir.path(), false, "u1"), &artifact(dir.path())).await.unwrap();
        assert!(outcome.artifact.is_none() && outcome.must_keep);
        let text = std::fs::read_to_string(dir.path().join("m.json")).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "builds": [
            {
              "name": "debian",
              "builder_type": "qemu",
              "files": [
                {
                  "name": "disk.qcow2",
                  "size": 5
                }
              ],
              "artifact_id": "VM",
              "packer_run_uuid": "u1",
              "custom_data": {
                "a": "x\u003cy\u003e\u0026z",
                "n": "2"
              }
            }
          ],
          "last_run_uuid": "u1"
        }
        "#);
        assert!(!text.ends_with('\n'));
    }

    #[tokio::test]
    async fn runs_append_and_force_starts_anew_once_per_run() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, artifact) = (writer(dir.path(), &[]), artifact(dir.path()));
        for (force, run, expected) in [
            (false, "u1", vec!["u1"]),
            (false, "u2", vec!["u1", "u2"]),
            (true, "u3", vec!["u3"]),
            (true, "u3", vec!["u3", "u3"]),
        ] {
            writer.run(&cx(dir.path(), force, run), &artifact).await.unwrap();
            let json = read_json(dir.path()).await;
            let runs: Vec<&str> =
                json["builds"].as_array().unwrap().iter().map(|b| b["packer_run_uuid"].as_str().unwrap()).collect();
            assert_eq!(runs, expected);
            assert_eq!(json["last_run_uuid"], run);
        }
        let json = read_json(dir.path()).await;
        assert!(json["builds"][0]["build_time"].as_u64().unwrap() > 1_700_000_000);
        assert!(json["builds"][0]["custom_data"].is_null());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn builds_side_by_side_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let artifact = Artifact { id: "VM".into(), ..Artifact::default() };
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (writer, cx) = (writer(dir.path(), &[]), cx(dir.path(), false, &format!("u{n}")));
                let artifact = artifact.clone();
                tokio::spawn(async move { writer.run(&cx, &artifact).await.map(|_| ()) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let json = read_json(dir.path()).await;
        assert_eq!(json["builds"].as_array().unwrap().len(), 20);
        assert!(json["builds"][0]["files"].is_null());
    }

    #[tokio::test]
    async fn a_file_that_is_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.json"), "not json").unwrap();
        let error = writer(dir.path(), &[]).run(&cx(dir.path(), false, "u"), &Artifact::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().ends_with("m.json is not a manifest: expected ident at line 1 column 2"), "{error}");
        assert_eq!(std::fs::read_to_string(dir.path().join("m.json")).unwrap(), "not json");
    }
}
