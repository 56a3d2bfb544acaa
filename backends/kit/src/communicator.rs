//! The `communicator` option and everything that belongs to it, for builders that have a machine.

use bakehouse_api::{Diagnostic, Diagnostics, choices, options};

use crate::ssh::SshOptions;

choices! {
    pub enum CommKind {
        Ssh = "ssh",
        None = "none",
        Winrm = "winrm",
    }
}

options! {
    /// How commands and files reach the machine.
    pub struct CommOptions {
        /// `ssh`, or `none` for a machine that no provisioner touches. `winrm` is not supported.
        communicator: CommKind = CommKind::Ssh,
        /// Not supported: there is no winrm communicator.
        winrm_username: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_password: Option<bakehouse_api::Secret>,
        /// Not supported: there is no winrm communicator.
        winrm_host: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_port: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_timeout: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_no_proxy: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_use_ssl: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_insecure: Option<String>,
        /// Not supported: there is no winrm communicator.
        winrm_use_ntlm: Option<String>,
    }
    flatten { ssh: SshOptions }
}

impl CommOptions {
    /// Everything that can be known without a machine. Builders fill in what they know better
    /// (a user name for a seed they write themselves) before they call this.
    pub fn check(&self, diagnostics: &mut Diagnostics) {
        self.check_with_platform_keys(diagnostics);
        if self.communicator == CommKind::Ssh {
            self.ssh.refuse_keypair_name(diagnostics);
        }
    }

    /// The same for a platform that knows key pairs by name (`ssh_keypair_name`).
    pub fn check_with_platform_keys(&self, diagnostics: &mut Diagnostics) {
        self.refuse_winrm(diagnostics);
        if self.communicator == CommKind::Ssh {
            self.ssh.check(diagnostics);
        }
    }

    /// Without the communicator its options mean nothing, and templates for several systems set them anyway.
    fn refuse_winrm(&self, diagnostics: &mut Diagnostics) {
        if self.communicator == CommKind::Winrm {
            let refused = Diagnostic::error("the communicator `winrm` is not supported")
                .at(self.spans.at("communicator"))
                .only_to_build()
                .hint("Windows Server 2019 and later have an OpenSSH server: use `communicator = \"ssh\"`");
            diagnostics.push(refused);
        }
    }
}
