//! The preflight on small disks that are made for it: whole ones, each with one thing wrong, damaged ones.
#![allow(clippy::unwrap_used)] // a test may panic

mod damage;
mod findings;
mod made;
