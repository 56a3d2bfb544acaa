//! Files and directories, up and down, by every way there is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use bakehouse_api::testing::Recorder;
use bakehouse_api::{CommError, Communicator, Cx, EventKind, Value};

use crate::sshd::{Sshd, code, cx, sh};

/// What it is called, sshd's configuration, our options.
type Way = (&'static str, &'static str, Vec<(&'static str, Value)>);

fn ways() -> [Way; 3] {
    let scp = vec![("ssh_file_transfer_method", Value::from("scp"))];
    [("sftp", "Subsystem sftp internal-sftp\n", vec![]), ("scp", "", scp), ("no sftp", "", vec![])]
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(next).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("is text")
}

#[tokio::test]
async fn files_keep_their_content_and_mode() {
    for (way, settings, options) in ways() {
        let sshd = Sshd::with(settings);
        let (cx, recorder) = cx(sshd.dir.path(), &[]);
        let comm = sshd.connect(&cx, &options).await;
        let (from, there, back) = (sshd.path("a file's name"), sshd.path("there $x"), sshd.path("back"));
        let content = noise(3_000_000);
        fs::write(&from, &content).expect("writes");
        fs::set_permissions(&from, fs::Permissions::from_mode(0o751)).expect("changes the mode");
        fs::write(&there, noise(4_000_000)).expect("writes what is longer before");
        comm.upload_file(&cx, &from, text(&there)).await.expect("uploads");
        assert!(fs::read(&there).expect("reads") == content, "{way}");
        assert_eq!(mode(&there), 0o751, "{way}");
        comm.download_file(&cx, text(&there), &back).await.expect("downloads");
        assert!(fs::read(&back).expect("reads") == content, "{way}");
        comm.upload_bytes(&cx, b"", text(&there), Some(0o600)).await.expect("uploads");
        assert_eq!((fs::read(&there).expect("reads").len(), mode(&there)), (0, 0o600), "{way}");
        comm.upload_bytes(&cx, b"#!/bin/sh\n", text(&there), Some(0o755)).await.expect("uploads");
        assert_eq!((fs::read(&there).expect("reads").len(), mode(&there)), (10, 0o755), "{way}");
        assert_ends_with_progress(&recorder, &format!("download {}", there.display()), 3_000_000);
    }
}

fn assert_ends_with_progress(recorder: &Recorder, what: &str, bytes: u64) {
    let events = recorder.events.lock().expect("locks");
    let last = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Progress(progress) if progress.what == what => Some(progress.clone()),
        _ => None,
    });
    let last = last.expect("tells its progress");
    assert_eq!((last.finished, last.done), (true, bytes));
}

/// A tree with everything that a tree can have.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("sub/deep")).expect("makes");
    fs::create_dir_all(root.join("empty")).expect("makes");
    fs::write(root.join("plain"), "plain").expect("writes");
    fs::write(root.join("sub/it's $odd"), "odd").expect("writes");
    fs::write(root.join("sub/deep/run"), "run").expect("writes");
    let long = "long".repeat(50);
    fs::write(root.join("sub").join(&long), "long").expect("writes");
    symlink("../plain", root.join("sub/link")).expect("links");
    fs::set_permissions(root.join("sub/deep/run"), fs::Permissions::from_mode(0o4750)).expect("changes the mode");
    fs::set_permissions(root.join("sub/deep"), fs::Permissions::from_mode(0o710)).expect("changes the mode");
}

fn assert_planted(root: &Path, way: &str) {
    assert_eq!(fs::read(root.join("plain")).expect("reads"), b"plain", "{way}");
    assert_eq!(fs::read(root.join("sub/it's $odd")).expect("reads"), b"odd", "{way}");
    assert_eq!(fs::read(root.join("sub").join("long".repeat(50))).expect("reads"), b"long", "{way}");
    assert_eq!(fs::read_link(root.join("sub/link")).expect("is a link"), Path::new("../plain"), "{way}");
    assert!(fs::read_dir(root.join("empty")).expect("is a directory").next().is_none(), "{way}");
    assert_eq!(mode(&root.join("sub/deep/run")) & 0o777, 0o750, "{way}");
}

/// Hides tar from the guest's shell, so that directories have to travel in other ways.
const NO_TAR: &str = "SetEnv PATH=/nowhere\n";

#[tokio::test]
async fn directories_arrive_whole() {
    for (way, settings, options) in ways() {
        let sshd = Sshd::with(settings);
        assert_directories(&sshd, way, &options).await;
    }
}

#[tokio::test]
async fn directories_arrive_whole_without_tar() {
    let sshd = Sshd::with(&format!("Subsystem sftp internal-sftp\n{NO_TAR}"));
    assert_directories(&sshd, "sftp without tar", &[]).await;
}

async fn assert_directories(sshd: &Sshd, way: &str, options: &[(&str, Value)]) {
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let comm = sshd.connect(&cx, options).await;
    let (from, there, back) = (sshd.path("from"), sshd.path("new/there"), sshd.path("back"));
    plant(&from);
    comm.upload_dir(&cx, &from, text(&there)).await.expect("uploads");
    assert_planted(&there, way);
    assert_eq!(mode(&there.join("sub/deep")), 0o710, "{way}");
    comm.upload_dir(&cx, &from, text(&there)).await.expect("uploads again");
    assert_planted(&there, way);
    comm.download_dir(&cx, text(&there), &back).await.expect("downloads");
    assert_planted(&back, way);
}

#[tokio::test]
async fn what_is_there_keeps_its_mode_and_its_links() {
    for settings in ["Subsystem sftp internal-sftp\n".to_owned(), format!("Subsystem sftp internal-sftp\n{NO_TAR}")] {
        let sshd = Sshd::with(&settings);
        let (cx, _) = cx(sshd.dir.path(), &[]);
        let comm = sshd.connect(&cx, &[]).await;
        let (from, there) = (sshd.path("from"), sshd.path("there"));
        for dir in ["from/lib", "from/etc", "there/usr/lib", "there/etc"] {
            fs::create_dir_all(sshd.path(dir)).expect("makes");
        }
        fs::write(from.join("lib/so"), "so").expect("writes");
        symlink("usr/lib", there.join("lib")).expect("links");
        for dir in [&from, &from.join("etc")] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("changes the mode");
        }
        comm.upload_dir(&cx, &from, text(&there)).await.expect("uploads");
        assert_eq!(fs::read(there.join("usr/lib/so")).expect("went through the link"), b"so");
        assert_eq!((mode(&there), mode(&there.join("etc"))), (0o755, 0o755));
    }
}

#[tokio::test]
async fn a_thousand_small_files_and_a_large_one() {
    let sshd = Sshd::start();
    let (cx, _) = cx(sshd.dir.path(), &[]);
    let comm = sshd.connect(&cx, &[]).await;
    let (many, there, back) = (sshd.path("many"), sshd.path("there"), sshd.path("back"));
    fs::create_dir(&many).expect("makes");
    for number in 0..1000 {
        fs::write(many.join(number.to_string()), format!("{number}")).expect("writes");
    }
    comm.upload_dir(&cx, &many, text(&there)).await.expect("uploads");
    comm.download_dir(&cx, text(&there), &back).await.expect("downloads");
    for number in 0..1000 {
        assert_eq!(fs::read_to_string(back.join(number.to_string())).expect("reads"), number.to_string());
    }
    let content = noise(64 << 20);
    fs::write(sshd.path("large"), &content).expect("writes");
    comm.upload_file(&cx, &sshd.path("large"), text(&sshd.path("large there"))).await.expect("uploads");
    comm.download_file(&cx, text(&sshd.path("large there")), &sshd.path("large back")).await.expect("downloads");
    assert!(fs::read(sshd.path("large back")).expect("reads") == content);
}

async fn remote_reason(result: Result<(), CommError>) -> (String, String) {
    match result {
        Err(CommError::Remote { path, reason }) => (path, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn failures_name_the_path_and_whose_it_is() {
    for (way, settings, options) in ways() {
        let sshd = Sshd::with(settings);
        let (cx, _) = cx(sshd.dir.path(), &[]);
        let comm: Arc<dyn Communicator> = sshd.connect(&cx, &options).await;
        let absent = sshd.path("absent/file");
        let (path, reason) = remote_reason(comm.upload_bytes(&cx, b"x", text(&absent), None).await).await;
        assert_eq!(
            (path.as_str(), reason.to_lowercase().contains("no such file")),
            (text(&absent), true),
            "{way}: {reason}"
        );
        let down = comm.download_file(&cx, text(&absent), &sshd.path("back")).await;
        let (path, reason) = remote_reason(down).await;
        assert_eq!(
            (path.as_str(), reason.to_lowercase().contains("no such file")),
            (text(&absent), true),
            "{way}: {reason}"
        );
        assert!(!sshd.path("back").exists(), "{way}: nothing half-written stays");
        let (_, reason) = remote_reason(comm.download_dir(&cx, text(&absent), &sshd.path("dir")).await).await;
        assert!(reason.to_lowercase().contains("no such file"), "{way}: {reason}");
        let (_, reason) = remote_reason(comm.upload_bytes(&cx, b"x", text(sshd.dir.path()), None).await).await;
        assert!(reason.contains("directory"), "{way}: {reason}");
        let mine = comm.upload_file(&cx, &absent, "/tmp/never").await;
        assert!(matches!(mine, Err(CommError::Local { .. })), "{way}: {mine:?}");
        assert_still_works(&comm, &cx).await;
    }
}

async fn assert_still_works(comm: &Arc<dyn Communicator>, cx: &Cx) {
    assert_eq!(sh(comm, cx, "true").await.0, code(0));
}
