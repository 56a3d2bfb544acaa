//! `file`: files and directories into the guest and out of it.

use std::path::Path;
use std::time::Duration;

use bakehouse_api::{
    Body, CommError, Command, Communicator, Cx, Diagnostic, Diagnostics, Error, Guest, Input, Options, Result,
    async_trait, choices, options,
};
use bakehouse_kit::process::quoted;
use tokio::time::Instant;

use super::reboot;
use super::tree;
use super::{Caching, Provisioner, Row};
use crate::script::{digest, given, known};

/// How long a guest that is found rebooting may take; shell's `start_retry_timeout` has the same default.
const COME_BACK: Duration = Duration::from_secs(300);
/// The name that `content` gets in a destination that is a directory.
const CONTENT_NAME: &str = "pkr-file-content";

choices! {
    pub enum Direction {
        Upload = "upload",
        Download = "download",
    }
}

options! {
    /// Copies files and directories between this machine and the guest.
    pub struct FileOptions {
        /// Text for `destination`, instead of a source.
        content: Option<String>,
        /// A file or directory. Of a directory with a slash at its end only the contents are
        /// copied, without one the directory itself, as with rsync.
        source: Option<String>,
        /// Several sources, copied in this order.
        sources: Vec<String>,
        /// Where it goes. With a slash at its end it is a directory, and files keep their names.
        destination: String,
        /// `upload` into the guest, or `download` out of it.
        direction: Direction = Direction::Upload,
        /// The source is made by an earlier step: it need not exist yet when the template is validated.
        generated: bool = false,
    }
}

pub const ROW: Row = Row { kind: "file", schema: || FileOptions::schema("file"), prepare };

struct File(FileOptions);

fn prepare(body: &Body, diagnostics: &mut Diagnostics) -> Option<Box<dyn Provisioner>> {
    let options = FileOptions::from_body(body, diagnostics)?;
    let before = diagnostics.errors();
    check_sources(&options, body, diagnostics);
    if options.destination.is_empty() && known(body, "destination") {
        diagnostics.push(Diagnostic::error("`destination` is empty").at(options.spans.at("destination")));
    }
    if options.direction == Direction::Upload && !options.generated {
        for name in ["source", "sources"].into_iter().filter(|name| known(body, name)) {
            let paths = if name == "source" { options.source.as_slice() } else { &options.sources };
            for path in paths.iter().filter(|path| !Path::new(path).exists()) {
                let missing = Diagnostic::error(format!("`{path}` does not exist"))
                    .at(options.spans.at(name))
                    .hint("set `generated = true` when an earlier step makes it");
                diagnostics.push(missing);
            }
        }
    }
    (diagnostics.errors() == before).then(|| Box::new(File(options)) as Box<dyn Provisioner>)
}

fn check_sources(options: &FileOptions, body: &Body, diagnostics: &mut Diagnostics) {
    let sourced = given(body, "source") || given(body, "sources");
    match (given(body, "content"), sourced) {
        (false, false) => {
            let none = Diagnostic::error("file needs `source`, `sources` or `content`").at(body.span);
            diagnostics.push(none);
        }
        (true, true) => {
            let both = Diagnostic::error("`content` and a source exclude each other").at(options.spans.at("content"));
            diagnostics.push(both);
        }
        (true, false) if options.direction == Direction::Download => {
            let wrong = Diagnostic::error("`content` cannot be downloaded").at(options.spans.at("content"));
            diagnostics.push(wrong);
        }
        _ => {}
    }
}

impl File {
    fn sources(&self) -> impl Iterator<Item = &String> {
        self.0.sources.iter().chain(&self.0.source)
    }

    async fn upload(&self, cx: &Cx, comm: &dyn Communicator) -> Result<(), CommError> {
        let to = &self.0.destination;
        if let Some(content) = &self.0.content {
            let path = if to.ends_with('/') { format!("{to}{CONTENT_NAME}") } else { to.clone() };
            let sent = comm.upload_bytes(cx, content.as_bytes(), &path, None).await;
            let Some(inside) = into_directory(cx, comm, &sent, to, CONTENT_NAME).await else { return sent };
            return comm.upload_bytes(cx, content.as_bytes(), &inside, None).await;
        }
        for source in self.sources() {
            self.upload_one(cx, comm, source).await?;
        }
        Ok(())
    }

    async fn upload_one(&self, cx: &Cx, comm: &dyn Communicator, source: &str) -> Result<(), CommError> {
        let to = &self.0.destination;
        let from = Path::new(source);
        let local = |error| CommError::Local { path: source.to_owned(), source: error };
        let meta = tokio::fs::metadata(from).await.map_err(local)?;
        if meta.is_dir() {
            let to = match embedded_name(source) {
                Some(name) => format!("{}/{name}", to.trim_end_matches('/')),
                None => to.clone(),
            };
            cx.message(format!("{source} => {to}"));
            return comm.upload_dir(cx, from, &to).await;
        }
        let name = from.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let path = if to.ends_with('/') { format!("{to}{name}") } else { to.clone() };
        cx.message(format!("{source} => {path}"));
        let sent = comm.upload_file(cx, from, &path).await;
        let Some(inside) = into_directory(cx, comm, &sent, to, &name).await else { return sent };
        comm.upload_file(cx, from, &inside).await
    }

    async fn download(&self, cx: &Cx, comm: &dyn Communicator) -> Result<(), CommError> {
        let to = Path::new(&self.0.destination);
        let into = self.0.destination.ends_with('/') || to.is_dir();
        let made = if into { to } else { to.parent().unwrap_or(to) };
        let local = |error| CommError::Local { path: made.display().to_string(), source: error };
        tokio::fs::create_dir_all(if made.as_os_str().is_empty() { Path::new(".") } else { made })
            .await
            .map_err(local)?;
        for source in self.sources() {
            if source.ends_with('/') {
                cx.message(format!("{source} => {}", to.display()));
                comm.download_dir(cx, source, to).await?;
                continue;
            }
            let name = source.rsplit('/').next().unwrap_or(source);
            let target = if into { to.join(name) } else { to.to_owned() };
            cx.message(format!("{source} => {}", target.display()));
            self.download_one(cx, comm, source, &target).await?;
        }
        Ok(())
    }

    /// A directory without a slash at its end is noticed when it cannot be read as a file.
    async fn download_one(&self, cx: &Cx, comm: &dyn Communicator, from: &str, to: &Path) -> Result<(), CommError> {
        let got = comm.download_file(cx, from, to).await;
        if matches!(got, Err(CommError::Remote { .. })) && is_directory(cx, comm, from).await {
            let _ = tokio::fs::remove_file(to).await; // an empty file may have been begun
            return comm.download_dir(cx, from, to).await;
        }
        got
    }

    fn failed(&self, error: CommError) -> Error {
        let lacks_place = matches!(error, CommError::Remote { .. }) && self.0.direction == Direction::Upload;
        let span = self.0.spans.at(if lacks_place { "destination" } else { "source" });
        let error = Error::from(error).context(match self.0.direction {
            Direction::Upload => format!("uploading to {}", self.0.destination),
            Direction::Download => format!("downloading to {}", self.0.destination),
        });
        let error = error.at(span);
        if lacks_place {
            return error.hint(
                "the folder must exist and the login user be allowed to write there: \
                 upload to /tmp and move it with a shell provisioner where it is not",
            );
        }
        error
    }
}

/// The directory's own name, when it goes along: `site` does, `site/`, `.` and `..` give only what is in them.
fn embedded_name(source: &str) -> Option<String> {
    if source.ends_with('/') {
        return None;
    }
    Path::new(source).file_name().filter(|_| !source.ends_with("/.")).map(|name| name.to_string_lossy().into_owned())
}

/// After an upload to `to` that the guest refused: the path inside, when `to` is a directory there.
async fn into_directory(
    cx: &Cx,
    comm: &dyn Communicator,
    sent: &Result<(), CommError>,
    to: &str,
    name: &str,
) -> Option<String> {
    let refused = matches!(sent, Err(CommError::Remote { .. })) && !to.ends_with('/');
    (refused && is_directory(cx, comm, to).await).then(|| format!("{to}/{name}"))
}

async fn is_directory(cx: &Cx, comm: &dyn Communicator, path: &str) -> bool {
    let test = Command::new(format!("test -d {}", quoted(path)));
    comm.run(cx, &test, &mut |_, _| {}).await.is_ok_and(|exit| exit.success())
}

#[async_trait]
impl Provisioner for File {
    fn inputs(&self) -> Vec<Input> {
        let options = &self.0;
        let mut inputs = vec![
            Input::new("option destination", options.destination.clone()),
            Input::new("option direction", options.direction.as_str()),
        ];
        inputs.extend(options.content.iter().map(|content| digest("content", &Ok(content.clone().into_bytes()))));
        for source in self.sources() {
            match options.direction {
                Direction::Upload => inputs.push(tree::digest(source)),
                Direction::Download => inputs.push(Input::new("option source", source.clone())),
            }
        }
        inputs
    }

    fn caching(&self) -> Caching {
        match self.0.direction {
            Direction::Upload => Caching::ByInputs,
            Direction::Download => {
                Caching::Outside("it brings files to this machine: it runs each time, unless it has `cache = true`")
            }
        }
    }

    async fn run(&self, cx: &Cx, guest: &Guest) -> Result<()> {
        cx.say(match self.0.direction {
            Direction::Upload => format!("Uploading to {}", self.0.destination),
            Direction::Download => format!("Downloading to {}", self.0.destination),
        });
        let deadline = Instant::now() + COME_BACK;
        cx.interruptible(async {
            loop {
                let steady = reboot::steady(cx, guest, deadline).await?;
                let done = match self.0.direction {
                    Direction::Upload => self.upload(cx, &*steady.comm).await,
                    Direction::Download => self.download(cx, &*steady.comm).await,
                };
                match done {
                    Ok(()) => return Ok(()),
                    // A copy can be made again from the start; a dead guest ends this at the deadline.
                    Err(error) if reboot::lost(&error) && Instant::now() < deadline => {
                        cx.warn(format!("{error}; copying again once the guest answers"));
                        guest.close().await;
                    }
                    Err(error) => return Err(self.failed(error)),
                }
            }
        })
        .await
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
