//! Post-processors: from an artifact to an artifact.
//!
//! To add one: a file here with an option struct, a type that implements [`PostProcessor`], and a
//! `prepare` function that decodes and checks everything that can be known offline (it is called
//! to validate, and again with the real `build.*` after the build, so it changes nothing); then its
//! line in [`table`]. Files that it makes go through
//! [`bakehouse_kit::output::Output`].

mod amazon_import;
mod artifice;
mod boxes;
mod checksum;
mod compress;
mod manifest;
mod reading;
mod s3;
mod shell_local;
mod vagrant;
mod vagrant_catalog;
mod vagrant_cloud;

use bakehouse_api::{Artifact, Body, Cx, Diagnostics, Result, Schema, async_trait};

/// What a post-processor leaves to the next one of its chain.
#[derive(Debug)]
pub struct Outcome {
    /// None: the input goes on.
    pub artifact: Option<Artifact>,
    /// Does the input stay when the template does not say?
    pub keep_by_default: bool,
    /// Does it stay whatever the template says?
    pub must_keep: bool,
}

#[async_trait]
pub trait PostProcessor: Send + Sync {
    async fn run(&self, cx: &Cx, artifact: &Artifact) -> Result<Outcome>;
}

pub struct Row {
    pub kind: &'static str,
    pub schema: fn() -> Schema,
    pub prepare: fn(&Body, &mut Diagnostics) -> Option<Box<dyn PostProcessor>>,
}

/// In the order they are listed to users.
pub fn table() -> &'static [Row] {
    &[
        manifest::ROW,
        checksum::ROW,
        compress::ROW,
        artifice::ROW,
        shell_local::ROW,
        vagrant::ROW,
        vagrant_catalog::ROW,
        vagrant_cloud::CLOUD,
        vagrant_cloud::REGISTRY,
        amazon_import::ROW,
        s3::ROW,
    ]
}

pub fn find(kind: &str) -> Option<&'static Row> {
    table().iter().find(|row| row.kind == kind)
}
