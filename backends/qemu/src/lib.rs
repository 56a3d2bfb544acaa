//! The QEMU backend: bakes disks in a local machine, with KVM where it truly works.

#![forbid(unsafe_code)]

mod accel;
mod agent;
mod argv;
mod courier;
mod disk;
mod evidence;
mod firmware;
mod keyboard;
mod net;
mod options;
mod qmp;
mod size;
mod tpm;
mod vm;
