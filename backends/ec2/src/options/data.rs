//! What data sources are asked.

use bakehouse_api::options;

use super::AccessOptions;
use super::run::AmiFilter;

options! {
    /// Finds an image: `id`, `name`, `creation_date`, `owner`, `owner_name` and `tags`.
    pub struct AmiData {}
    flatten { filter: AmiFilter, access: AccessOptions }
}

options! {
    /// Reads a parameter of Systems Manager: `value`, `version` and `arn`.
    pub struct ParameterData {
        /// Name of the parameter.
        name: String,
        /// Decrypt a SecureString; its value is then sensitive.
        with_decryption: bool = false,
    }
    flatten { access: AccessOptions }
}

options! {
    /// Reads a secret of Secrets Manager: `value`, `secret_string` and `version_id`. Its values are sensitive.
    pub struct SecretData {
        /// Name or ARN of the secret.
        name: String,
        /// Key of a secret that is a JSON object. Unset: its only one.
        key: Option<String>,
        /// A version by its id.
        version_id: Option<String>,
        /// A version by its stage. Unset: `AWSCURRENT`.
        version_stage: Option<String>,
    }
    flatten { access: AccessOptions }
}
