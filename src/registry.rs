//! Every backend, one line each: the only place that names them.

use std::sync::Arc;

use bakehouse_api::account::Login;
use bakehouse_api::{Account, Backend, DataSource, Result};

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
    Err(bakehouse_api::Error::new(
        bakehouse_api::Kind::Missing,
        "this program was built without its AWS backend (feature `ec2`)",
    ))
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
