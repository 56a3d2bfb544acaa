//! What a failed build leaves to look at: the serial log, the screen, QEMU's last words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::argv::Control;
use crate::qmp::Qmp;
use crate::vm::{State, Vm};

/// A screenshot must not hold up the clean-up.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn gather(vm: &Vm, control: &Control, into: &Path) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    for (from, name) in [(&control.serial, "serial.log"), (&control.command, "qemu-command.log")] {
        let to = into.join(name);
        if from.metadata().is_ok_and(|meta| meta.len() > 0) && std::fs::copy(from, &to).is_ok() {
            kept.push(to);
        }
    }
    let stderr = vm.stderr();
    let words = into.join("qemu-stderr.log");
    if !stderr.is_empty() && std::fs::write(&words, stderr + "\n").is_ok() {
        kept.push(words);
    }
    let screen = into.join("screen.png");
    if !matches!(vm.status.state(), State::Off) && screenshot(&vm.qmp, &screen).await.is_some() {
        kept.push(screen);
    }
    kept
}

/// The guest's screen as a PNG file; a QEMU built without PNG gives the older format.
pub async fn screenshot(qmp: &Qmp, to: &Path) -> Option<()> {
    let dump = |path: &Path, format: &str| {
        let arguments = json!({ "filename": path, "format": format });
        async move { tokio::time::timeout(PATIENCE, qmp.raw("screendump", arguments)).await.ok()?.ok() }
    };
    if dump(to, "png").await.is_some() {
        return Some(());
    }
    let raw = to.with_extension("ppm");
    dump(&raw, "ppm").await?;
    let converted = std::fs::read(&raw).ok().and_then(|bytes| ppm_to_png(&bytes, to));
    let _ = std::fs::remove_file(raw); // only a leftover in the evidence folder
    converted
}

/// QEMU writes `P6`, width, height, 255, then three bytes a pixel.
fn ppm_to_png(ppm: &[u8], to: &Path) -> Option<()> {
    let mut rest = ppm;
    let mut word = || {
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        let (word, after) = rest.split_at(end);
        rest = &after[1..];
        std::str::from_utf8(word).ok()
    };
    (word()? == "P6").then_some(())?;
    let (width, height) = (word()?.parse().ok()?, word()?.parse().ok()?);
    (word()? == "255").then_some(())?;
    let file = std::fs::File::create(to).ok()?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().ok()?.write_image_data(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemus_older_format_becomes_a_png() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("screen.png");
        let ppm = [b"P6\n2 1\n255\n".as_slice(), &[255, 0, 0, 0, 0, 255]].concat();
        ppm_to_png(&ppm, &to).unwrap();
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&to).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [255, 0, 0, 0, 0, 255]);
        assert!(ppm_to_png(&ppm[..12], &to).is_none());
    }
}
