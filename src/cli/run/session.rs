//! What is done with a guest that runs: watch it, log in, run a command.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bakehouse_api::instance::{Instance, Login};
use bakehouse_api::{Command, Communicator, Cx, Error, Exit, Kind, Result};
use bakehouse_kit::process::quoted;
use bakehouse_kit::ssh::{GeneratedKey, KeyKind};

use crate::script::lines::Lines;

/// For a guest to shut down; under emulation that takes a while.
const SHUTDOWN: Duration = Duration::from_secs(90);

/// The pair whose public half goes into the metadata.
pub struct Key {
    pub public: String,
    /// None: it is the agent's.
    pub private: Option<PathBuf>,
}

impl Key {
    /// The given one, or one that goes with the run.
    pub fn of(cx: &Cx, given: Option<&Path>) -> Result<Self> {
        match given {
            Some(path) => Self::read(&cx.settings().cwd.join(path)),
            None => Self::made(cx),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).map_err(|error| Error::io(format!("reading {}", path.display()), &error))?;
        if text.contains("PRIVATE KEY") {
            let error = format!("{} is a private key", path.display());
            return Err(Error::new(Kind::Config, error).hint("give the public one, which ends with .pub"));
        }
        let public = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        if public.split_whitespace().count() < 2 {
            let error = format!("{} holds no public key", path.display());
            return Err(Error::new(Kind::Input, error).hint("it is one line, like `ssh-ed25519 AAAA... me@here`"));
        }
        let private = path.with_extension("");
        let is_pair = path.extension().is_some_and(|ending| ending == "pub") && private.is_file();
        Ok(Self { public, private: is_pair.then_some(private) })
    }

    fn made(cx: &Cx) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io("writing the key of this run", &error);
        let key = GeneratedKey::new(KeyKind::Ed25519, None, "bakehouse run")
            .map_err(|error| Error::new(Kind::Internal, error))?;
        let path = cx.temp().join("id_ed25519");
        // The folder is for this user alone; ssh wants the file to be as well.
        fs::write(&path, key.private_openssh.reveal()).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { public: key.public_openssh, private: Some(path) })
    }
}

/// Until it switches itself off.
pub async fn watch(cx: &Cx, guest: &dyn Instance, login: &Login) -> Result<()> {
    let words = ssh(guest, login);
    cx.say(format!("Log in with: {}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")));
    cx.interruptible(guest.ended()).await
}

pub async fn wait(cx: &Cx, guest: &dyn Instance, login: &Login) -> Result<()> {
    guest.connect(cx, login).await?.close().await;
    cx.say("SSH lets us in");
    guest.power_off(cx, SHUTDOWN).await
}

/// The exit code of a command.
pub async fn check(cx: &Cx, guest: &dyn Instance, login: &Login, command: &str) -> Result<u8> {
    let comm = guest.connect(cx, login).await?;
    cx.say(format!("Running: {command}"));
    let exit = told(cx, &*comm, command).await?;
    comm.close().await;
    guest.power_off(cx, SHUTDOWN).await?;
    let code = code(&exit);
    cx.say(format!("The command ended with {code}"));
    Ok(code)
}

async fn told(cx: &Cx, comm: &dyn Communicator, command: &str) -> Result<Exit> {
    let mut lines = Lines::new(cx);
    let run = comm.run(cx, &Command::new(command), &mut |stream, bytes| lines.feed(stream, bytes)).await;
    lines.finish();
    run.map_err(|error| Error::from(error).context(format!("running `{command}` in the guest")))
}

/// As a shell tells of a command that a signal has ended.
fn code(exit: &Exit) -> u8 {
    exit.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(128)
}

/// A shell for the person at the terminal.
pub async fn open(cx: &Cx, guest: &dyn Instance, login: &Login) -> Result<u8> {
    guest.connect(cx, login).await?.close().await;
    let words = ssh(guest, login);
    let mut child = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::io("starting `ssh`", &error).hint("install OpenSSH's client, or use --check"))?;
    let status = child.wait().await.map_err(|error| Error::io("waiting for `ssh`", &error))?;
    guest.power_off(cx, SHUTDOWN).await?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128))
}

/// OpenSSH's client for this guest, whose host key is of this boot alone.
fn ssh(guest: &dyn Instance, login: &Login) -> Vec<String> {
    let options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"];
    let mut words = vec!["ssh".to_owned()];
    words.extend(options.iter().flat_map(|option| ["-o".to_owned(), option.to_string()]));
    if let Some(key) = &login.key {
        words.extend(["-i".to_owned(), key.display().to_string()]);
    }
    words.extend(["-p".to_owned(), guest.ssh_port().to_string(), format!("{}@127.0.0.1", login.user)]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_one_line_with_its_private_half_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("me.pub");
        fs::write(&path, "\nssh-ed25519 AAAA me\n").unwrap();
        let key = Key::read(&path).unwrap();
        assert_eq!((key.public.as_str(), key.private), ("ssh-ed25519 AAAA me", None));
        fs::write(dir.path().join("me"), "secret").unwrap();
        assert_eq!(Key::read(&path).unwrap().private, Some(dir.path().join("me")));
        fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").unwrap();
        assert!(Key::read(&path).is_err_and(|error| error.to_string().contains("is a private key")));
        fs::write(&path, "what").unwrap();
        assert!(Key::read(&path).is_err());
    }
}
