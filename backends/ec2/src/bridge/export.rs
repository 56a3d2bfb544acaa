//! From an image to disks of this machine.

use bakehouse_api::bridge::{Export, Exported};
use bakehouse_api::{Cx, Error, Kind, Result};

use crate::client::Ec2;

pub async fn export(_cx: &Cx, _ec2: &Ec2, export: &Export) -> Result<Exported> {
    Err(Error::new(Kind::Internal, format!("{} cannot be exported", export.image)))
}
