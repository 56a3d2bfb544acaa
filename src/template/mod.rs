//! From files to a [`plan::Plan`]: HCL2 and legacy JSON. Pure: no network, no processes.

pub mod convert;
pub mod hcl;
pub mod plan;
