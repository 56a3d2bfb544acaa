#!/bin/bash
# Makes the tiny test guest from the distribution's packages and prints its path.
#
#   tests/guest/tiny.sh           -> .../bakehouse/base/tiny-<key>.qcow2
#
# A real disk with GRUB for BIOS and UEFI and a root that persists: busybox, OpenSSH, sudo, the guest
# agent. Debian's general kernel, because the cloud kernel lacks AHCI, the SCSI controller of
# `disk_interface = "scsi"` and e1000.
#
# Users: root, debian, tiny (password tiny) and plain (password plain, no sudo); the keys are those of a
# NoCloud seed (rootfs/etc/init.d/seed) or of EC2's metadata service (rootfs/etc/init.d/ec2). Root has a shell on tty1 and on the serial line.
#
# Made once: <key> hashes this folder and scripts/disk.sh. Needs root, no loop devices.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"

release=bookworm
kernel=linux-image-amd64

# Drivers that the kernel has built in are skipped.
drivers=(
  virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon
  sd_mod sr_mod sg ata_piix ata_generic ahci nvme sym53c8xx vmw_pvscsi megaraid_sas mptspi
  ext4 crc32c_generic isofs vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
  e1000 e1000e 8139cp rtl8139 pcnet32 ne2k-pci vmxnet3 ena
  button evdev atkbd i8042 floppy loop qemu_fw_cfg tpm_tis tpm_crb rtc_cmos
)

mapfile -t files < <(find "$here" -type f | sort)
key=$(content_key "${files[@]}" "$here/../../scripts/disk.sh" <<<"$release")
target=$(cache_dir)/base/tiny-$key.qcow2
make_once "$target"  # prints the path and exits when it is there already

packages=$work/packages root=$work/root initramfs=$work/initramfs
say "taking $kernel, busybox and OpenSSH from Debian $release"
mmdebstrap --quiet --variant=extract --mode=root \
  --include="$kernel,busybox-static,openssh-server,openssh-sftp-server,sudo,qemu-guest-agent,libpam-modules" \
  --aptopt='Apt::Install-Recommends "false"' \
  "$release" "$packages" < <(mirror_sources "$release")
version=$(ls "$packages/lib/modules")

# take FILE...: from the packages into the root, with the shared libraries it loads.
take() {
  local file
  for file in "$@"; do
    (cd "$packages" && cp -L --parents --remove-destination ".$file" "$root")
    chroot "$packages" /lib64/ld-linux-x86-64.so.2 --list "$file" | grep -o '/[^ ]*' | while read -r library; do
      (cd "$packages" && cp -L --parents --no-clobber ".$library" "$root")
    done
  done
}

# take_modules TREE: the drivers and what they depend on.
take_modules() {
  local driver
  for driver in "${drivers[@]}"; do
    modprobe -d "$packages" -S "$version" --show-depends "$driver" 2>/dev/null || true
  done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r module; do
    (cd "$packages" && cp --parents ".${module#"$packages"}" "$1")
  done
  cp "$packages/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$1/lib/modules/$version/"
  depmod -b "$1" "$version"
}

say "putting the guest together"
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys,run,mnt,var/log,var/lib,var/empty,home/debian,home/tiny,home/plain}
mkdir -p -m 1777 "$root/tmp"
mkdir -p -m 700 "$root/root"
mkdir -p "$root/etc/sudoers.d" "$root/etc/ssh/sshd_config.d"
ln -s /run "$root/var/run"
cp "$packages/bin/busybox" "$root/bin/"
chroot "$root" /bin/busybox --install -s
depmod -b "$packages" "$version"
take_modules "$root"
take /usr/sbin/sshd /usr/bin/ssh-keygen /usr/bin/ssh /usr/bin/ssh-add /usr/bin/scp /usr/lib/openssh/sftp-server \
  /usr/bin/sudo /usr/libexec/sudo/sudoers.so /usr/libexec/sudo/libsudo_util.so.0 /usr/sbin/qemu-ga \
  /lib/x86_64-linux-gnu/security/pam_permit.so
cp -r --remove-destination "$here/rootfs/." "$root/"
chown -R 0:0 "$root"
chown 1000:1000 "$root/home/debian"
chown 1001:1001 "$root/home/tiny"
chown 1002:1002 "$root/home/plain"
chmod 4755 "$root/usr/bin/sudo"
chmod 600 "$root/etc/shadow"
chmod 440 "$root/etc/sudoers"

mkdir -p "$initramfs"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys}
cp "$packages/bin/busybox" "$initramfs/bin/"
cp "$here/initramfs/init" "$initramfs/init"
take_modules "$initramfs"
cp "$packages/boot/vmlinuz-$version" "$root/vmlinuz"
(cd "$initramfs" && find . | cpio --quiet -o -H newc -R 0:0 | zstd -q -9) >"$root/initrd.img"
install_grub_config "$root" tiny "console=tty0 console=ttyS0,115200 net.ifnames=0"

say "writing the disk"
assemble_disk "$root" tiny 1536M "$work/disk.raw"
finish "$work/disk.raw" "$target"
