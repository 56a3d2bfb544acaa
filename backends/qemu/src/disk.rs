//! Disks while the machine runs and what becomes of them: an overlay instead of a copy before the
//! build, at most one pass after it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bakehouse_api::error::Context;
use bakehouse_api::event::Unit;
use bakehouse_api::{Cx, Error, Kind, Progress, Result};
use bakehouse_kit::process::{Program, describe};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::options::{Compression, Format, ImgArgs, QemuOptions};
use crate::size::Size;

/// Coroutines of a convert; 16 is as many as qemu-img takes.
const COROUTINES: &str = "16";
const QUICK: Duration = Duration::from_secs(120);

/// What `qemu-img info` tells of an image.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    pub format: String,
    pub virtual_size: u64,
}

/// What a disk starts as.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Empty(Size),
    /// Reads fall through to an image that is never written.
    Overlay {
        base: PathBuf,
        format: String,
        /// None keeps the base's size.
        size: Option<Size>,
    },
}

/// What is to be done with a disk once the machine is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    pub format: Format,
    pub compression: Option<Compression>,
    /// The artifact goes on reading from this image.
    pub backing: Option<(PathBuf, String)>,
    /// The disk is the artifact as it is.
    pub as_it_is: bool,
}

pub struct Img<'a> {
    pub cx: &'a Cx,
    pub args: Option<&'a ImgArgs>,
}

impl Img<'_> {
    pub async fn info(&self, image: &Path) -> Result<Info> {
        let program = img().args(["info", "--output=json", "-U"]).arg(image).deadline(QUICK);
        let finished = program.check(self.cx).await.map_err(|error| unreadable(image, error.into()))?;
        serde_json::from_slice(&finished.stdout).map_err(|error| unreadable(image, Error::new(Kind::Input, error)))
    }

    /// A truncated or damaged image must not become half a day of odd errors in the guest.
    pub async fn verify(&self, image: &Path, info: &Info) -> Result<()> {
        if info.format != "qcow2" {
            return Ok(()); // a raw image has no structure that could be checked
        }
        let program = img().args(["check", "-q", "-U", "-f", "qcow2"]).arg(image);
        let finished = program.run(self.cx).await?;
        match finished.exit.code {
            Some(0 | 3 | 63) => Ok(()), // whole; leaked clusters, which waste space only; not checkable
            _ => {
                let said = finished.stderr.lines().chain(std::str::from_utf8(&finished.stdout).unwrap_or("").lines());
                let last: Vec<&str> = said.filter(|line| !line.trim().is_empty()).take(5).collect();
                Err(damaged(
                    image,
                    Error::new(Kind::Input, format!("qemu-img check found errors: {}", last.join("; "))),
                ))
            }
        }
    }

    pub async fn create(&self, file: &Path, format: Format, source: &Source) -> Result<()> {
        let mut program = img().args(["create", "-q", "-f", format.as_str()]);
        let (size, resize) = match source {
            Source::Empty(size) => (Some(*size), None),
            Source::Overlay { base, format, size } => {
                program = program.args(["-F", format]).arg("-b").arg(base);
                // Arguments for a resize ask for a resize of its own.
                let separate = self.args.is_some_and(|args| !args.resize.is_empty());
                if separate { (None, *size) } else { (*size, None) }
            }
        };
        program = program.args(self.args.map(|args| args.create.clone()).unwrap_or_default()).arg(file);
        if let Some(size) = size {
            program = program.arg(size.0.to_string());
        }
        let doing = format!("creating the disk {}", file.display());
        program.deadline(QUICK).check(self.cx).await.context(doing)?;
        match resize {
            Some(size) => self.resize(file, format, size).await,
            None => Ok(()),
        }
    }

    /// A new overlay whose backing file need not be where `base` says yet.
    pub async fn chain(&self, file: &Path, base: &Path, base_format: Format, size: u64) -> Result<()> {
        let program = img().args(["create", "-q", "-u", "-f", "qcow2", "-F", base_format.as_str(), "-b"]).arg(base);
        let doing = format!("creating the disk {}", file.display());
        program.arg(file).arg(size.to_string()).deadline(QUICK).check(self.cx).await.context(doing)?;
        Ok(())
    }

    async fn resize(&self, file: &Path, format: Format, size: Size) -> Result<()> {
        let args = self.args.map(|args| args.resize.clone()).unwrap_or_default();
        let program = img().args(["resize", "-q", "-f", format.as_str()]).args(args).arg(file).arg(size.0.to_string());
        program.deadline(QUICK).check(self.cx).await.context(format!("resizing {} to {size}", file.display()))?;
        Ok(())
    }

    /// One pass from `from` to `to`.
    pub async fn convert(&self, from: &Path, from_format: Format, to: &Path, finish: &Finish) -> Result<()> {
        let program = convert_program(from, from_format, to, finish, self.args);
        let shown = program.shown();
        let mut running = program.spawn(self.cx).await?;
        let mut percent = Percent::new(self.cx, format!("writing {}", shown_name(to)));
        let pipe = running.stdout.take();
        let work = async {
            if let Some(pipe) = pipe {
                percent.follow(pipe).await;
            }
            Ok(running.wait(self.cx).await?)
        };
        let exit = match self.cx.interruptible(work).await {
            Ok(exit) => exit,
            Err(error) => {
                running.stop(self.cx).await?;
                return Err(error);
            }
        };
        if exit.success() {
            percent.emit(100, true);
            return Ok(());
        }
        let said = running.stderr_tail();
        let error =
            Error::new(Kind::Host, format!("{}: {said}", describe(&exit))).context(format!("running `{shown}`"));
        Err(if said.contains("No space left") {
            error.hint("the disk of this machine is full: free some space or choose another output_directory")
        } else {
            error
        })
    }
}

fn img() -> Program {
    Program::new("qemu-img")
}

fn unreadable(image: &Path, error: Error) -> Error {
    if error.kind() == Kind::Missing {
        return error.hint("Debian and Ubuntu have it in the package `qemu-utils`");
    }
    damaged(image, Error::new(Kind::Input, error.message()))
}

fn damaged(image: &Path, error: Error) -> Error {
    error
        .context(format!("reading the disk image {}", image.display()))
        .hint("it is truncated, damaged or no disk image: get it again and set `iso_checksum`")
}

fn convert_program(from: &Path, from_format: Format, to: &Path, finish: &Finish, args: Option<&ImgArgs>) -> Program {
    // Out-of-order writes keep every coroutine busy, compressed or not.
    let mut program = img().args(["convert", "-p", "-W", "-m", COROUTINES, "-f", from_format.as_str()]);
    program = program.args(["-O", finish.format.as_str()]);
    if let Some(compression) = finish.compression {
        program = program.arg("-c");
        if compression != Compression::Zlib {
            program = program.args(["-o", &format!("compression_type={}", compression.as_str())]);
        }
    }
    if let Some((backing, format)) = &finish.backing {
        program = program.arg("-B").arg(backing).args(["-F", format]);
    }
    program.args(args.map(|args| args.convert.clone()).unwrap_or_default()).arg(from).arg(to)
}

fn shown_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().trim_end_matches(".partial").to_owned()
}

/// Reads qemu-img's `(12.34/100%)`, which it rewrites in place.
struct Percent<'a> {
    cx: &'a Cx,
    what: String,
    last: u64,
}

impl<'a> Percent<'a> {
    fn new(cx: &'a Cx, what: String) -> Self {
        Self { cx, what, last: 0 }
    }

    async fn follow(&mut self, mut pipe: impl AsyncRead + Unpin) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut bytes).await {
            if let Some(percent) = percent(&String::from_utf8_lossy(&bytes[..read])) {
                self.emit(percent, false);
            }
        }
    }

    fn emit(&mut self, done: u64, finished: bool) {
        if done > self.last || finished {
            self.last = done;
            let what = self.what.clone();
            self.cx.progress(Progress { what, done, total: Some(100), unit: Unit::Percent, finished });
        }
    }
}

fn percent(text: &str) -> Option<u64> {
    let shown = text.rsplit('\r').find_map(|part| part.trim().strip_prefix('(')?.split_once('/'));
    shown.and_then(|(percent, _)| percent.trim().parse::<f64>().ok()).map(|percent| percent as u64)
}

/// What becomes of a disk whose overlay base is `base`.
pub fn finish(options: &QemuOptions, base: Option<&(PathBuf, String)>) -> Finish {
    let backing = base.filter(|_| options.use_backing_file).cloned();
    let standalone = base.is_none() || backing.is_some();
    let compresses = options.disk_compression && options.format == Format::Qcow2;
    let compression = compresses.then_some(options.disk_compression_type);
    let as_it_is = standalone && options.skip_compaction && compression.is_none();
    Finish { format: options.format, compression, backing, as_it_is }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::{Decode, testing};

    use super::*;

    fn shown(finish: &Finish) -> String {
        let args = ImgArgs { convert: vec!["-S".into(), "0".into()], ..ImgArgs::placeholder() };
        convert_program(Path::new("a"), Format::Qcow2, Path::new("b"), finish, Some(&args)).shown()
    }

    #[test]
    fn the_pass_uses_every_coroutine_and_the_users_arguments() {
        let plain = Finish { format: Format::Raw, compression: None, backing: None, as_it_is: false };
        assert_eq!(shown(&plain), "qemu-img convert -p -W -m 16 -f qcow2 -O raw -S 0 a b");
        let zstd = Finish { format: Format::Qcow2, compression: Some(Compression::Zstd), ..plain };
        assert_eq!(shown(&zstd), "qemu-img convert -p -W -m 16 -f qcow2 -O qcow2 -c -o compression_type=zstd -S 0 a b");
        let overlay = Finish { compression: None, backing: Some(("base".into(), "raw".into())), ..zstd };
        assert_eq!(shown(&overlay), "qemu-img convert -p -W -m 16 -f qcow2 -O qcow2 -B base -F raw -S 0 a b");
    }

    #[test]
    fn progress_is_the_last_percentage_written() {
        assert_eq!(percent("    (12.34/100%)\r    (56.78/100%)\r"), Some(56));
        assert_eq!(percent("qemu-img: error"), None);
    }

    #[tokio::test]
    async fn an_overlay_grows_and_is_written_out_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, recorder) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let args = ImgArgs { resize: vec!["--preallocation=off".into()], ..ImgArgs::placeholder() };
        for args in [None, Some(&args)] {
            let img = Img { cx: &cx, args };
            let [base, overlay, whole] = ["base.raw", "overlay", "whole"].map(|name| dir.path().join(name));
            std::fs::write(&base, vec![7; 1 << 20]).unwrap();
            let source = Source::Overlay { base, format: "raw".into(), size: Some(Size::mib(4)) };
            img.create(&overlay, Format::Qcow2, &source).await.unwrap();
            let finish = Finish { format: Format::Raw, compression: None, backing: None, as_it_is: false };
            img.convert(&overlay, Format::Qcow2, &whole, &finish).await.unwrap();
            let bytes = std::fs::read(&whole).unwrap();
            assert_eq!((bytes.len(), bytes[0], bytes[2 << 20]), (4 << 20, 7, 0));
        }
        assert!(recorder.held().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_image_is_told_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (cx, _) = testing::cx(dir.path(), bakehouse_kit::undo::undoers());
        let image = dir.path().join("image.qcow2");
        std::fs::write(&image, b"QFI\xfb and nothing more").unwrap();
        let error = Img { cx: &cx, args: None }.info(&image).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Input);
        assert!(error.to_string().contains("image.qcow2"), "{error}");
    }
}
