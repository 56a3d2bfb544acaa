//! Portable image formats: Vagrant boxes and their catalogs, OVF and OVA, VMDK, and what a disk
//! holds. Plain functions over files: no network, no processes, no terminal.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod checksum;
pub mod disk;
pub mod gzip;
pub mod listing;
pub mod ova;
pub mod ovf;
pub mod pack;
pub mod parallel;
pub mod preflight;
pub mod provider;
pub mod read;
pub mod version;
pub mod vmdk;
mod zstd_frames;
