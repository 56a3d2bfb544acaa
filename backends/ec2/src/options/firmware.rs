//! What instances of an image boot by.

pub use bakehouse_api::bridge::BootMode;
use bakehouse_api::{choices, options};

choices! {
    pub enum TpmSupport { Unset = "", V2 = "v2.0" }
}

options! {
    /// The firmware of the image.
    pub struct FirmwareOptions {
        /// How instances of the image boot. Unset: as the source image. `arm64` boots by UEFI only.
        boot_mode: BootMode = BootMode::Unset,
        /// UEFI variables, as `python-uefivars` writes them: in base64.
        uefi_data: Option<String>,
        /// `v2.0`: instances of the image have a TPM. Needs `boot_mode = "uefi"`.
        tpm_support: TpmSupport = TpmSupport::Unset,
    }
}

impl FirmwareOptions {
    /// None where the template says nothing of it.
    pub fn asked(&self) -> Option<&Self> {
        let uefi_data = self.uefi_data.as_deref().is_some_and(|data| !data.is_empty());
        (self.boot_mode != BootMode::Unset || uefi_data || self.tpm_support != TpmSupport::Unset).then_some(self)
    }
}
