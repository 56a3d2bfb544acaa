//! One thing wrong at a time.

use bakehouse_boxes::preflight::{Architecture, Severity};

use crate::made::{Made, ROOT_UUID, cmdline, elf, kernel, troubles};

#[test]
fn a_disk_that_boots_everywhere_has_only_good_news() {
    let report = Made::good().report();
    assert_eq!(troubles(&report), [""; 0]);
    assert_eq!(report.worst(), Severity::Ok);
    let facts = &report.facts;
    assert_eq!((facts.bios, facts.uefi, facts.ena), (true, true, Some(true)));
    assert_eq!(facts.boot_mode(), Some("uefi-preferred"));
    assert_eq!(facts.architecture, Some(Architecture::X86_64));
    assert_eq!(facts.system.as_deref(), Some("Testing 1"));
    let checks: Vec<&str> = report.findings.iter().map(|finding| finding.check).collect();
    let expected = [
        "partition-table",
        "boot-loader",
        "boot-loader",
        "kernel",
        "driver-nvme",
        "driver-ena",
        "driver-virtio-blk",
        "driver-virtio-net",
        "root-device",
        "serial-console",
        "fstab",
        "cloud-init",
        "network-names",
        "architecture",
    ];
    assert_eq!(checks, expected);
}

/// The disk with one change gives exactly these troubles, each beginning as written.
#[track_caller]
fn gives(change: impl FnOnce(&mut Made), expected: &[&str]) {
    let mut made = Made::good();
    change(&mut made);
    let found = troubles(&made.report());
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(found, text)| found.contains(text));
    assert!(fits, "found {found:#?}\nexpected {expected:#?}");
}

#[test]
fn partition_tables() {
    gives(
        |made| made.table = "label: dos\nstart=90112, type=83\n".into(),
        &["boot-loader: error: GRUB's boot sector is there, but nothing"],
    );
    gives(
        |made| {
            made.table = "label: dos\nstart=4096, size=81920, type=ef\nstart=90112, type=83\n".into();
            made.boot_code = b"";
        },
        &[],
    );
    let logical = "label: dos\nstart=4096, size=81920, type=ef\nstart=86016, type=5\nstart=90112, type=83\n";
    gives(|made| (made.table, made.boot_code) = (logical.into(), b""), &[]);
}

#[test]
fn boot_loaders() {
    gives(
        |made| made.core = b"",
        &["boot-loader: warning: GRUB's boot sector is there, but the BIOS boot partition 1 is empty"],
    );
    gives(
        |made| {
            made.boot_code = b"";
            made.esp = [("EFI/debian/grubx64.efi".to_owned(), b"MZ".to_vec())].into();
        },
        &[
            "boot-loader: error: the EFI system partition 2 has \\EFI\\debian\\grubx64.efi but no \\EFI\\BOOT\\BOOTX64.EFI",
        ],
    );
    gives(
        |made| (made.boot_code, made.esp) = (b"", [("a file with a long name.txt".to_owned(), vec![])].into()),
        &["boot-loader: error: the EFI system partition 2 holds no boot loader"],
    );
    let gone = "label: gpt\nstart=90112, type=L\n";
    gives(|made| (made.boot_code, made.table) = (b"", gone.into()), &["boot-loader: error: no boot code"]);
    gives(
        |made| made.table = gone.into(),
        &["boot-loader: error: GRUB's boot sector is there, but no BIOS boot partition"],
    );
}

#[test]
fn kernels_and_their_drivers() {
    gives(
        |made| made.modules.retain(|name| *name != "nvme"),
        &["driver-nvme: error: `nvme` is a module, and not in the initramfs"],
    );
    gives(
        |made| made.modules.retain(|name| *name != "virtio_blk"),
        &["driver-virtio-blk: warning: `virtio_blk` is a module"],
    );
    gives(
        |made| made.put(&Made::path_of_modules("modules.dep"), "kernel/drivers/net/virtio_net.ko:\n"),
        &["driver-ena: error: the kernel 6.1.0-25-amd64 has no driver `ena`"],
    );
    gives(
        |made| {
            made.modules.clear();
            made.put("boot/grub/grub.cfg", "linux /boot/vmlinuz-6.1.0-25-amd64 root=PARTLABEL=root console=ttyS0\n");
        },
        &["driver-nvme: error: `nvme` is a module, and there is no initramfs", "driver-virtio-blk: warning"],
    );
    let builtin = "kernel/drivers/nvme/host/nvme.ko\nkernel/drivers/block/virtio_blk.ko\n";
    gives(
        |made| {
            made.modules = vec!["ext4"];
            made.put(&Made::path_of_modules("modules.builtin"), builtin);
        },
        &[],
    );
    gives(
        |made| made.compress = |_| b"BZh9".to_vec(),
        &[
            "initramfs: warning: its drivers are not known: it is compressed by bzip2",
            "driver-nvme: warning: whether the kernel has `nvme`",
            "driver-virtio-blk: warning",
        ],
    );
    gives(
        |made| made.compress = |plain| plain[..100].to_vec(),
        &["initramfs: error: the initramfs cannot be unpacked", "driver-nvme", "driver-virtio-blk"],
    );
    gives(
        |made| made.without("boot/vmlinuz-6.1.0-25-amd64"),
        &["kernel: error: /boot/grub/grub.cfg starts /boot/vmlinuz-6.1.0-25-amd64"],
    );
    gives(|made| made.modules.clear(), &["initramfs: error: /boot/initrd.img-6.1.0-25-amd64 is not there"]);
    gives(
        |made| made.put("boot/vmlinuz-6.1.0-25-amd64", kernel(false)),
        &["architecture: error: the kernel is for 32-bit x86"],
    );
    gives(
        |made| {
            made.without("boot/grub/grub.cfg");
            made.without("boot/vmlinuz-6.1.0-25-amd64");
        },
        &["kernel: error: no kernel was found"],
    );
}

#[test]
fn where_the_root_is() {
    let root = |argument: &str| {
        let text = cmdline(&format!("root={argument} console=ttyS0"));
        move |made: &mut Made| made.put("boot/grub/grub.cfg", text)
    };
    for (argument, expected) in [
        ("/dev/sda3", "root-device: error: `root=/dev/sda3`: on EC2's instances"),
        ("/dev/nvme0n1p3", "root-device: warning: `root=/dev/nvme0n1p3` is right"),
        ("UUID=00000000-2222-4333-8444-555555555555", "root-device: error: `root=UUID=00000000"),
        ("/dev/disk/by-id/ata-QEMU", "root-device: error: `root=/dev/disk/by-id/ata-QEMU` is made of"),
    ] {
        gives(root(argument), &[expected]);
    }
    for argument in ["LABEL=root", "PARTLABEL=root", "/dev/disk/by-label/root", "/dev/mapper/vg-root"] {
        gives(root(argument), &[]);
    }
    gives(
        |made| made.put("boot/grub/grub.cfg", cmdline("ro console=ttyS0")),
        &["root-device: warning: the kernel is told no `root=`"],
    );
    gives(|made| made.without("boot/grub/grub.cfg"), &["root-device: warning: no boot loader configuration was found"]);
    gives(
        |made| made.put("etc/fstab", "/dev/vda3 / ext4 defaults 0 1\n"),
        &["fstab: error: /dev/vda3 for / is a name"],
    );
    let lines = format!(
        "UUID={ROOT_UUID} / ext4 defaults 0 1\nUUID=ABCD-1234 /boot/efi vfat umask=77 0 1\n/dev/sdb1 none swap sw 0 0\n\
         LABEL=data /data ext4 defaults 0 2\nLABEL=more /more ext4 nofail 0 2\n# /dev/sda1 / ext4\ntmpfs /tmp tmpfs\n"
    );
    gives(
        |made| made.put("etc/fstab", lines),
        &["fstab: warning: /dev/sdb1 for none", "fstab: warning: LABEL=data for /data is not on this disk"],
    );
}

#[test]
fn the_system() {
    gives(
        |made| made.put("boot/grub/grub.cfg", cmdline("root=LABEL=root quiet")),
        &["serial-console: warning: the kernel does not talk"],
    );
    gives(
        |made| made.without("usr/bin/cloud-init"),
        &["cloud-init: error: there is neither cloud-init nor a DHCP client"],
    );
    gives(
        |made| {
            made.without("usr/bin/cloud-init");
            made.put("sbin/dhclient", elf(62));
        },
        &["cloud-init: warning: there is no cloud-init: dhclient gets an address"],
    );
    gives(
        |made| made.put("etc/cloud/cloud-init.disabled", ""),
        &["cloud-init: error: cloud-init is there, but /etc/cloud/cloud-init.disabled"],
    );
    gives(
        |made| made.put("etc/cloud/cloud.cfg.d/90.cfg", "datasource_list: [NoCloud, None]\n"),
        &[
            "cloud-init: error: cloud-init is there, but /etc/cloud/cloud.cfg.d/90.cfg lets it look for NoCloud, None only",
        ],
    );
}

#[test]
fn networks() {
    let off = |made: &mut Made| made.put("etc/cloud/cloud.cfg.d/99.cfg", "network: {config: disabled}\n");
    let rule = "SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\"\n";
    gives(
        |made| made.put("etc/udev/rules.d/70-persistent-net.rules", rule),
        &["network-names: error: /etc/udev/rules.d/70-persistent-net.rules is for one"],
    );
    gives(
        |made| {
            off(made);
            made.put("etc/network/interfaces", "auto ens3\niface ens3 inet dhcp\n");
        },
        &["network-names: error: /etc/network/interfaces configures `ens3` only; on EC2 the card is called ens5"],
    );
    gives(
        |made| {
            off(made);
            made.put("etc/network/interfaces", "auto ens3\niface ens3 inet dhcp\n");
            made.put("etc/systemd/network/90.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n");
        },
        &[],
    );
    gives(
        |made| made.put("etc/netplan/50-cloud-init.yaml", "      match:\n        macaddress: 52:54:00:12:34:56\n"),
        &[],
    );
}

#[test]
fn what_cannot_be_read_is_one_finding_and_nothing_is_claimed() {
    let lvm: Vec<u8> = [&[0; 512][..], b"LABELONE"].concat();
    for (name, bytes) in
        [("XFS", b"XFSB".to_vec()), ("a LUKS volume", b"LUKS\xba\xbe".to_vec()), ("an LVM volume", lvm)]
    {
        gives(
            |made| made.instead = Some((0, bytes)),
            &[format!("file-system: warning: partition 3 is {name}").as_str()],
        );
    }
    gives(
        |made| made.instead = Some((0x1_0040, b"_BHRfS_M".to_vec())),
        &["file-system: warning: partition 3 is Btrfs"],
    );
}
