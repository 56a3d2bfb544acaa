//! Block devices.

use std::collections::HashSet;

use super::Check;
use crate::network::given;
use crate::options::BlockDevice;
use crate::options::devices::VolumeType;

impl Check<'_> {
    pub fn launch_devices(&mut self, devices: &[BlockDevice]) {
        self.devices("launch_block_device_mappings", devices);
    }

    pub fn image_devices(&mut self, devices: &[BlockDevice]) {
        self.devices("ami_block_device_mappings", devices);
    }

    pub fn devices(&mut self, option: &str, devices: &[BlockDevice]) {
        if !self.known(option) {
            return;
        }
        let mut seen = HashSet::new();
        for device in devices {
            if device.device_name.is_empty() {
                self.error(option, "every device needs a `device_name`");
            } else if !seen.insert(&device.device_name) {
                self.error(option, format!("the device `{}` is there twice", device.device_name));
            }
            self.device(option, device);
        }
    }

    fn device(&mut self, option: &str, device: &BlockDevice) {
        let name = &device.device_name;
        if given(&device.kms_key_id).is_some() && device.encrypted != Some(true) {
            self.error(option, format!("{name}: `kms_key_id` needs `encrypted = true`"));
        }
        if given(&device.virtual_name).is_some_and(|name| !name.starts_with("ephemeral")) {
            self.error(option, format!("{name}: a `virtual_name` is `ephemeral0` to `ephemeral23`"));
        }
        if device.no_device && (device.volume_size.is_some() || given(&device.snapshot_id).is_some()) {
            self.error(option, format!("{name}: `no_device` leaves nothing to say about a volume"));
        }
        self.performance(option, device);
    }

    fn performance(&mut self, option: &str, device: &BlockDevice) {
        let name = &device.device_name;
        let kind = device.volume_type;
        let shown = kind.map_or("the default volume type", VolumeType::as_str);
        if let Some(throughput) = device.throughput.filter(|throughput| *throughput > 0) {
            if kind != Some(VolumeType::Gp3) {
                self.error(option, format!("{name}: `throughput` is for gp3 only, and this is {shown}"));
            } else if !(125..=1000).contains(&throughput) {
                self.error(
                    option,
                    format!("{name}: `throughput` must lie between 125 and 1000, and it is {throughput}"),
                );
            }
        }
        let range = match kind {
            Some(VolumeType::Gp3) => 3000..=16_000,
            Some(VolumeType::Io1) => 100..=64_000,
            Some(VolumeType::Io2) => 100..=256_000,
            _ => 0..=0,
        };
        match device.iops.filter(|iops| *iops > 0) {
            Some(_) if *range.end() == 0 => {
                self.error(option, format!("{name}: `iops` is for io1, io2 and gp3, and this is {shown}"));
            }
            Some(iops) if !range.contains(&iops) => {
                let (least, most) = (range.start(), range.end());
                self.error(
                    option,
                    format!("{name}: `iops` of {shown} must lie between {least} and {most}, and it is {iops}"),
                );
            }
            None if matches!(kind, Some(VolumeType::Io1 | VolumeType::Io2)) => {
                self.error(option, format!("{name}: {shown} needs `iops`"));
            }
            _ => {}
        }
    }
}
