//! The guest's own work, with no tool in between: boot until sshd answers, the script, power-off.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;

const DEADLINE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

/// The value of QEMU's `-smbios` that lets `work/key` in as root: systemd takes it as a credential.
pub fn login(work: &Path) -> Result<String, String> {
    let public = std::fs::read(work.join("key.pub")).map_err(|error| format!("reading the key: {error}"))?;
    let key = base64::engine::general_purpose::STANDARD.encode(public);
    Ok(format!("type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={key}"))
}

/// Seconds from the start of QEMU to its end. `work` holds `key` and `key.pub`.
pub fn own_work(base: &Path, work: &Path) -> Result<f64, String> {
    let overlay = work.join("own.qcow2");
    quiet(Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(base).arg(&overlay))?;
    quiet(Command::new("qemu-img").args(["resize", "-q"]).arg(&overlay).arg("40960M"))?;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(|e| e.to_string())?.port();
    let began = Instant::now();
    let mut qemu = start(&overlay, &login(work)?, port)?;
    let result = banner(port, began).and_then(|()| {
        ssh(work, port, "echo baked")?;
        let _ = ssh(work, port, "poweroff"); // the connection may go first
        wait(&mut qemu, began)
    });
    let _ = qemu.kill();
    let _ = qemu.wait();
    result.map(|()| began.elapsed().as_secs_f64())
}

fn start(disk: &Path, login: &str, port: u16) -> Result<Child, String> {
    Command::new("qemu-system-x86_64")
        .args(["-machine", "type=pc,accel=tcg", "-smp", "2", "-m", "1024M", "-display", "none", "-cpu", "max,-svm"])
        .args(["-netdev", &format!("user,id=n,hostfwd=tcp:127.0.0.1:{port}-:22"), "-device", "virtio-net,netdev=n"])
        .args(["-drive", &format!("file={},if=virtio,format=qcow2,cache=writeback", disk.display())])
        .args(["-smbios", login])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("starting qemu: {error}"))
}

/// Until sshd itself says its first words: user networking accepts before the guest listens.
fn banner(port: u16, began: Instant) -> Result<(), String> {
    while began.elapsed() < DEADLINE {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() && &word == b"SSH-" {
                return Ok(());
            }
        }
        std::thread::sleep(POLL);
    }
    Err("the guest's sshd did not answer".into())
}

fn ssh(work: &Path, port: u16, line: &str) -> Result<(), String> {
    quiet(
        Command::new("ssh")
            .args(["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-p", &port.to_string(), "-i"])
            .arg(work.join("key"))
            .args(["root@127.0.0.1", line]),
    )
}

fn wait(qemu: &mut Child, began: Instant) -> Result<(), String> {
    while began.elapsed() < DEADLINE {
        if qemu.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err("the guest did not power off".into())
}

pub fn quiet(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("starting {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
