//! Every backend, one line each: the only place that names them.

use std::sync::Arc;

use bakehouse_api::account::Login;
use bakehouse_api::instance::Launcher;
use bakehouse_api::{Account, Backend, Bridge, DataSource, Error, Kind, Result};

/// In the order they are listed to users.
pub fn backends() -> Vec<Box<dyn Backend>> {
    let mut all: Vec<Box<dyn Backend>> = vec![
        Box::new(bakehouse_qemu::Qemu),
        Box::new(bakehouse_virtualbox::VirtualBoxIso),
        Box::new(bakehouse_virtualbox::VirtualBoxOvf),
        Box::new(bakehouse_virtualbox::VirtualBoxVm),
    ];
    all.extend(aws());
    all.push(Box::new(bakehouse_null::NullBackend));
    all.push(Box::new(bakehouse_file::FileBackend));
    all
}

#[cfg(feature = "ec2")]
fn aws() -> Vec<Box<dyn Backend>> {
    bakehouse_ec2::backends()
}

#[cfg(not(feature = "ec2"))]
fn aws() -> Vec<Box<dyn Backend>> {
    Vec::new()
}

/// The data sources of these backends.
pub fn data_sources() -> Vec<Arc<dyn DataSource>> {
    #[cfg(feature = "ec2")]
    return bakehouse_ec2::data_sources();
    #[cfg(not(feature = "ec2"))]
    Vec::new()
}

/// An account at AWS.
#[cfg(feature = "ec2")]
pub fn aws_account(login: Login) -> Result<Box<dyn Account>> {
    Ok(bakehouse_ec2::account(login))
}

#[cfg(not(feature = "ec2"))]
pub fn aws_account(_login: Login) -> Result<Box<dyn Account>> {
    Err(without_aws())
}

/// A field of a secret of AWS Secrets Manager; without a key the only one there is.
#[cfg(feature = "ec2")]
pub fn aws_secret(name: &str, key: Option<&str>) -> Result<String, String> {
    let field = bakehouse_ec2::secret_field(&aws_secret_raw(name)?, key);
    field.map_err(|reason| format!("the secret {name}: {reason}"))
}

/// The whole text of a secret.
#[cfg(feature = "ec2")]
pub fn aws_secret_raw(name: &str) -> Result<String, String> {
    bakehouse_ec2::secret_text(name).map_err(|error| error.to_string())
}

#[cfg(not(feature = "ec2"))]
pub fn aws_secret(name: &str, _key: Option<&str>) -> Result<String, String> {
    aws_secret_raw(name)
}

#[cfg(not(feature = "ec2"))]
pub fn aws_secret_raw(name: &str) -> Result<String, String> {
    Err(format!("the secret {name} is with AWS, and this program was built without its backend (feature `ec2`)"))
}

/// The way between disks of this machine and the images of a cloud.
pub fn bridge() -> Option<Arc<dyn Bridge>> {
    #[cfg(feature = "ec2")]
    return Some(bakehouse_ec2::bridge());
    #[cfg(not(feature = "ec2"))]
    None
}

/// The same for those who cannot do without.
pub fn need_bridge() -> Result<Arc<dyn Bridge>> {
    bridge().ok_or_else(without_aws)
}

fn without_aws() -> Error {
    Error::new(Kind::Missing, "this program was built without its backend for AWS")
        .hint("build it with the feature `ec2`: cargo build --release --features ec2")
}

/// What boots a disk on this machine as EC2 would.
pub fn launcher() -> Arc<dyn Launcher> {
    bakehouse_qemu::launcher()
}
