//! Every backend, one line each: the only place that names them.

use bakehouse_api::Backend;

/// In the order they are listed to users.
pub fn backends() -> Vec<Box<dyn Backend>> {
    vec![
        Box::new(bakehouse_qemu::Qemu),
        Box::new(bakehouse_virtualbox::VirtualBoxIso),
        Box::new(bakehouse_virtualbox::VirtualBoxOvf),
        Box::new(bakehouse_virtualbox::VirtualBoxVm),
        Box::new(bakehouse_null::NullBackend),
        Box::new(bakehouse_file::FileBackend),
    ]
}
