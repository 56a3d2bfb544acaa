//! From files to a [`plan::Plan`]: HCL2 and legacy JSON. Pure: no network, no processes.

pub mod clock;
pub mod convert;
pub mod functions;
pub mod interpolate;
pub mod plan;
pub mod printf;
