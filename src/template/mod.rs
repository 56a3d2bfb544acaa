//! From files to a [`plan::Plan`]: HCL2 and legacy JSON. Pure: no network, no processes.

pub mod clock;
mod composed;
pub mod convert;
pub mod eval;
pub mod functions;
pub mod hcl;
pub mod interpolate;
pub mod json;
pub mod load;
pub mod plan;
pub mod printf;
pub mod services;
