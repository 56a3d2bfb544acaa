//! What every provisioner and every post-processor can have. The template language reads these itself, with
//! `build.*` still unknown; here they are for the reference.

use std::collections::BTreeMap;
use std::time::Duration;

use bakehouse_api::{Field, Options, options};

use super::Role;

options! {
    /// Options of every provisioner.
    pub struct ProvisionerOptions {
        /// The builds it runs in, by `type.name` in HCL and by the builder's name in JSON. Unset: all.
        only: Vec<String>,
        /// The builds it does not run in; not beside `only`.
        except: Vec<String>,
        /// Options that are different in some builds: the name of a source, and for it an object of options.
        r#override: BTreeMap<String, BTreeMap<String, String>>,
        /// How long to wait before it runs.
        pause_before: Duration = Duration::ZERO,
        /// How often it is tried again when it fails.
        max_retries: u32 = 0,
        /// How long it may take. Unset: for ever.
        timeout: Option<Duration>,
        /// Whether a checkpoint may stand for it: `false` lets it and what follows run each time. Unset: what only
        /// changes the guest may be cached; what acts on this machine (`shell-local`, a download) runs each time, and
        /// `true` says that what it reads tells all that it does.
        cache: Option<bool>,
        /// How long its checkpoint counts. Unset: as the `build` block's own `cache_ttl` says, or for 24 hours.
        cache_ttl: Option<Duration>,
    }
}

options! {
    /// Options of every post-processor.
    pub struct PostProcessorOptions {
        /// What `-except` calls it. Unset: its type.
        name: Option<String>,
        /// The builds whose artifact it takes, by `type.name` in HCL and by the builder's name in JSON. Unset: all.
        only: Vec<String>,
        /// The builds whose artifact it does not take; not beside `only`.
        except: Vec<String>,
        /// Keep the artifact that it was given. Unset: as the post-processor itself prefers.
        keep_input_artifact: Option<bool>,
    }
}

options! {
    /// What only HCL has.
    pub struct HclOptions {
        /// A name for it in messages. Unset: its type.
        name: Option<String>,
        /// The build goes on when it fails.
        continue_on_error: bool = false,
    }
}

pub fn fields(role: Role) -> Vec<Field> {
    match role {
        Role::Builder | Role::DataSource => Vec::new(),
        Role::Provisioner => [ProvisionerOptions::fields(), HclOptions::fields()].concat(),
        Role::PostProcessor => PostProcessorOptions::fields(),
    }
}

/// Those that legacy JSON has.
pub fn legacy_fields(role: Role) -> Vec<Field> {
    match role {
        Role::Provisioner => ProvisionerOptions::fields(),
        role => fields(role),
    }
}
