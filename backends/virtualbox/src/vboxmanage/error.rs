//! What VBoxManage says when it refuses.

use bakehouse_api::{Error, Kind};
use bakehouse_kit::process::{Finished, ProcessError, describe, quoted};

use super::verbs::Args;
use super::version::{OLDEST, Version};

#[derive(Debug, thiserror::Error)]
pub enum VBoxError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("`{program}` is no VBoxManage: it answers --version with `{said}`")]
    NotVBoxManage { program: String, said: String },
    #[error("VirtualBox {found} is too old: {OLDEST} or later is needed")]
    TooOld { found: Version },
    #[error("`VBoxManage {command}` failed: {said}")]
    Refused { command: String, said: String, code: String },
}

impl VBoxError {
    pub fn refused(args: &Args, finished: &Finished) -> Self {
        let command = args.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let lines: Vec<&str> = finished.stderr.lines().filter_map(message).collect();
        let detail = |line: &&str| line.starts_with("Details: ") || line.starts_with("Context: ");
        let said: Vec<&str> = lines.iter().filter(|line| !detail(line)).copied().collect();
        let code = lines.iter().find_map(|line| code(line)).unwrap_or_default();
        let said = match said.as_slice() {
            [] if finished.stderr.trim().is_empty() => describe(&finished.exit),
            [] => finished.stderr.trim().to_owned(),
            said => said.join("\n"),
        };
        Self::Refused { command, said, code }
    }

    fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        matches!(self, Self::Refused { said, code, .. } if words.iter().any(|word| said.contains(word) || code == word))
    }

    /// The machine, medium or snapshot is not there.
    pub fn is_gone(&self) -> bool {
        self.code() == "VBOX_E_OBJECT_NOT_FOUND" || self.says(&["Could not find file for the medium"])
    }

    /// Another session has the machine, or has it still.
    pub fn is_locked(&self) -> bool {
        let state = matches!(self.code(), "VBOX_E_INVALID_OBJECT_STATE" | "VBOX_E_OBJECT_IN_USE" | "E_ACCESSDENIED");
        state && self.says(&["locked", "lock request pending", "being unlocked", "The object functionality is limited"])
    }

    /// VBoxSVC ended while it was asked.
    fn lost_service(&self) -> bool {
        self.says(&[
            "NS_ERROR_CALL_FAILED",
            "NS_ERROR_ABORT",
            "NS_ERROR_FAILURE",
            "Failed to create the VirtualBox object",
            "Failed to create a session object",
            "The server process is not running",
        ])
    }

    fn lacks_driver(&self) -> bool {
        self.says(&["vboxdrv", "VERR_VM_DRIVER", "VERR_SUPDRV", "rc=-1908"])
    }
}

/// `VBoxManage: error: text`; after progress on the same line, too.
fn message(line: &str) -> Option<&str> {
    line.split_once("VBoxManage: error: ").map(|(_, text)| text.trim())
}

/// `Details: code VBOX_E_FILE_ERROR (0x80bb0004), ...` or `Code E_FAIL (0x80004005) - ...`
fn code(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Details: code ").or_else(|| line.strip_prefix("Code "))?;
    rest.split_whitespace().next().map(str::to_owned)
}

impl From<VBoxError> for Error {
    fn from(error: VBoxError) -> Self {
        let told = Error::new(Kind::Host, &error);
        match error {
            VBoxError::Process(error @ ProcessError::Missing { .. }) => Error::new(Kind::Missing, &error)
                .hint("install VirtualBox, or set `vboxmanage_binary` to its VBoxManage"),
            VBoxError::Process(error) => error.into(),
            VBoxError::NotVBoxManage { .. } => {
                Error::new(Kind::Missing, &error).hint("set `vboxmanage_binary` to VirtualBox's VBoxManage")
            }
            VBoxError::TooOld { .. } => Error::new(Kind::Missing, &error).hint("install a newer VirtualBox"),
            ref error if error.lacks_driver() => told.hint(
                "VirtualBox's kernel module is not loaded: `modprobe vboxdrv`, or build it with /sbin/vboxconfig",
            ),
            ref error if error.lost_service() => told.hint(
                "VBoxSVC, the service behind VBoxManage, ended; VBoxSVC.log in VirtualBox's configuration says why",
            ),
            ref error if error.is_locked() => {
                told.hint("another program uses the machine: close its window or settings in VirtualBox")
            }
            _ => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use bakehouse_api::Exit;

    use super::*;

    fn refused(stderr: &str) -> VBoxError {
        let exit = Exit { code: Some(1), signal: None };
        let args = ["startvm", "my vm"].map(str::to_owned).to_vec();
        VBoxError::refused(&args, &Finished { exit, stdout: vec![], stderr: stderr.into() })
    }

    #[test]
    fn what_was_said_stays_and_where_in_its_source_goes() {
        let error = refused(
            "0%...VBOX_E_FILE_ERROR\n\
             VBoxManage: error: Appliance import failed\n\
             VBoxManage: error: Could not create the imported medium '/m/b/a-disk001.vmdk'.\n\
             VBoxManage: error: Details: code VBOX_E_FILE_ERROR (0x80bb0004), component MediumWrap, interface IMedium\n\
             VBoxManage: error: Context: \"RTEXITCODE handleImportAppliance(HandlerArg*)\" at line 1450",
        );
        assert_eq!(
            error.to_string(),
            "`VBoxManage startvm 'my vm'` failed: Appliance import failed\n\
             Could not create the imported medium '/m/b/a-disk001.vmdk'."
        );
        assert!(!error.is_gone() && !error.is_locked());
    }

    #[test]
    fn kinds_of_refusals_are_told_apart() {
        let locked = refused(
            "VBoxManage: error: Cannot unregister the machine 'b' while it is locked\n\
             VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap",
        );
        assert!(locked.is_locked());
        let gone = refused(
            "VBoxManage: error: Could not find a registered machine named 'zzz'\n\
             VBoxManage: error: Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component VirtualBoxWrap",
        );
        assert!(gone.is_gone());
        let driver = refused(
            "VBoxManage: error: The VirtualBox kernel driver is not accessible (VERR_VM_DRIVER_NOT_ACCESSIBLE)",
        );
        assert!(Error::from(driver).hints()[0].contains("vboxdrv"));
        let service =
            refused("VBoxManage: error: Code NS_ERROR_CALL_FAILED (0x800706be) - Call to remote object failed");
        assert!(Error::from(service).hints()[0].contains("VBoxSVC"));
        assert_eq!(refused("").to_string(), "`VBoxManage startvm 'my vm'` failed: exited with status 1");
    }
}
