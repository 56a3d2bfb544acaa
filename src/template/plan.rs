//! What a template says once every expression is evaluated: the builds, in order. No I/O, no machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bakehouse_api::{Body, Diagnostics, Facts, Span};

/// Facts that every builder has; a template may ask for them even where they are empty.
pub const FACTS: [&str; 14] = [
    "ID",
    "Host",
    "Port",
    "User",
    "Password",
    "ConnType",
    "PackerRunUUID",
    "PackerHTTPIP",
    "PackerHTTPPort",
    "PackerHTTPAddr",
    "SSHPublicKey",
    "SSHPrivateKey",
    "WinRMPassword",
    "name",
];

#[derive(Debug, Default)]
pub struct Plan {
    pub builds: Vec<Build>,
    /// What `required_plugins` asks for: whose components a template may name.
    pub plugins: Vec<Plugin>,
}

/// One of `required_plugins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// The local name: its components are called that, or begin with it and a dash.
    pub name: String,
    /// "github.com/hashicorp/amazon"
    pub source: Option<String>,
    /// The constraint as it is written.
    pub version: Option<String>,
}

impl Plugin {
    /// Does a component of that kind come with it?
    pub fn has(&self, kind: &str) -> bool {
        kind.strip_prefix(&self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

#[derive(Debug)]
pub struct Build {
    /// As `-only` names it: "qemu.debian", "web.qemu.debian"; for JSON the builder's name.
    pub name: String,
    /// The source, fully evaluated; its `kind` is the builder type.
    pub source: Body,
    /// How long its provisioners' checkpoints count, where they do not say.
    pub cache_ttl: Option<Duration>,
    /// Those that apply to this build, in order.
    pub provisioners: Vec<Step>,
    /// The error-cleanup-provisioner.
    pub on_error: Option<Step>,
    /// Each chain starts from the build's artifact.
    pub post: Vec<Vec<PostStep>>,
}

/// A provisioner.
#[derive(Clone, Debug)]
pub struct Step {
    /// "shell", "file", ...
    pub kind: String,
    /// Its `name` option, else its kind.
    pub name: String,
    pub span: Span,
    pub pause_before: Duration,
    pub max_retries: u32,
    pub timeout: Option<Duration>,
    pub continue_on_error: bool,
    /// May it be left out because it ran before? None: as its kind prefers.
    pub cache: Option<bool>,
    /// How long its checkpoint counts.
    pub cache_ttl: Option<Duration>,
    pub config: Late,
}

#[derive(Clone, Debug)]
pub struct PostStep {
    pub kind: String,
    pub name: String,
    pub span: Span,
    /// None when the template does not say.
    pub keep_input_artifact: Option<bool>,
    pub config: Late,
}

/// A body whose expressions may ask for `build.*`: evaluated once with those unknown, to validate,
/// and once more when the machine runs. `override` and the step options are already applied.
#[derive(Clone)]
pub struct Late(Arc<LateFn>);

/// None: `build.*` is unknown.
type LateFn = dyn Fn(Option<&Facts>) -> Result<Body, Diagnostics> + Send + Sync;

impl Late {
    pub fn new(evaluate: impl Fn(Option<&Facts>) -> Result<Body, Diagnostics> + Send + Sync + 'static) -> Self {
        Self(Arc::new(evaluate))
    }

    pub fn validate(&self) -> Result<Body, Diagnostics> {
        (self.0)(None)
    }

    pub fn body(&self, facts: &Facts) -> Result<Body, Diagnostics> {
        (self.0)(Some(facts))
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}
