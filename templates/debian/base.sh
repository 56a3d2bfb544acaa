#!/bin/bash
# Makes a Debian 12 base disk from the distribution's packages and prints its path.
#
#   templates/debian/base.sh            -> .../bakehouse/base/debian-12-<key>.qcow2
#
# The disk boots by BIOS and by UEFI (with secure boot too: Debian's signed shim, GRUB and kernel), finds
# its root by label, and talks on the serial line. Without a seed it comes up with DHCP and no way to log in.
#
# Made once: <key> hashes this script, scripts/disk.sh and the release. Needs root, no loop devices.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"

release=bookworm
size=3G          # grows to the disk at first boot
label=bakehouse  # of the root file system

packages=(
  linux-image-cloud-amd64 systemd-sysv dbus udev kmod zstd
  cloud-init cloud-guest-utils e2fsprogs fdisk
  openssh-server sudo qemu-guest-agent
  systemd-resolved libnss-myhostname iproute2 ca-certificates
)

# What the initramfs carries: every disk controller that the cloud kernel drives (it has no AHCI and no LSI, so
# neither can hold the root), and CD drives, for cloud-init looks for its seed before udev has found the rest.
drivers=(virtio_pci virtio_blk virtio_scsi ata_piix ata_generic vmw_pvscsi xen-blkfront hv_storvsc sd_mod sr_mod nvme)

key=$(content_key "$here/base.sh" "$here/../../scripts/disk.sh" <<<"$release ${packages[*]}")
target=$(cache_dir)/base/debian-12-$key.qcow2
make_once "$target"  # prints the path and exits when it is there already

root=$work/root
say "installing Debian $release (about a minute)"
cat >"$work/essential.sh" <<END
mkdir -p "\$1/etc/initramfs-tools/conf.d" "\$1/etc/initramfs-tools/hooks"
echo MODULES=list >"\$1/etc/initramfs-tools/conf.d/bakehouse"
cat >"\$1/etc/initramfs-tools/hooks/bakehouse" <<HOOK
#!/bin/sh
[ "\\\$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules ${drivers[*]}
HOOK
chmod 755 "\$1/etc/initramfs-tools/hooks/bakehouse"
END
mmdebstrap --quiet --variant=minbase --mode=root \
  --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --essential-hook="sh $work/essential.sh \"\$1\"" \
  --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/resolv.conf' \
  "$release" "$root" < <(mirror_sources "$release")

say "configuring"
cat >"$root/etc/fstab" <<END
LABEL=$label / ext4 defaults,discard,errors=remount-ro 0 1
END
echo debian >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >"$root/etc/hosts"
: >"$root/etc/machine-id"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
cat >"$root/etc/systemd/network/90-dhcp.network" <<END
[Match]
Name=en* eth*
[Network]
DHCP=yes
[DHCPv4]
UseDomains=yes
END
cat >"$root/etc/cloud/cloud.cfg.d/90-bakehouse.cfg" <<END
# A boot without any of these must not wait for one.
datasource_list: [NoCloud, ConfigDrive, Ec2, None]
# systemd-networkd does DHCP by itself, the image has its mirror, and no locale but C.
network: {config: disabled}
apt: {preserve_sources_list: true}
locale: false
# An RSA key costs an emulated guest seconds of its first boot, and no client of today asks for one.
ssh_genkeytypes: [ed25519, ecdsa]
# Every module costs an import at each boot: these are the ones whose tools are in the image.
cloud_init_modules: [seed_random, bootcmd, write-files, growpart, resizefs, disk_setup, mounts, set_hostname,
  update_hostname, update_etc_hosts, ca-certs, users-groups, ssh]
cloud_config_modules: [set-passwords, apt-configure, timezone, runcmd]
cloud_final_modules: [package-update-upgrade-install, write-files-deferred, scripts-vendor, scripts-per-once,
  scripts-per-boot, scripts-per-instance, scripts-user, phone-home, final-message, power-state-change]
END
# The host keys come from cloud-init's seed or, without one, from here.
cat >"$root/etc/systemd/system/ssh-host-keys.service" <<END
[Unit]
Description=SSH host keys where there are none
Before=ssh.service
After=cloud-init.service
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -N "" -t ed25519 -f /etc/ssh/ssh_host_ed25519_key
ExecStart=/usr/bin/ssh-keygen -q -N "" -t ecdsa -f /etc/ssh/ssh_host_ecdsa_key
[Install]
WantedBy=multi-user.target
END
echo 'PasswordAuthentication no' >"$root/etc/ssh/sshd_config.d/90-bakehouse.conf"
mkdir -p "$root/etc/systemd/system/systemd-networkd-wait-online.service.d"
cat >"$root/etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf" <<END
# One address is enough, and a machine without a network comes up too.
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=15
END
chroot "$root" systemctl --quiet enable systemd-networkd systemd-resolved ssh ssh-host-keys serial-getty@ttyS0
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
  e2scrub_reap.service dpkg-db-backup.timer fstrim.timer
# The kernel's self-tests of ciphers take an emulated guest two seconds.
install_grub_config "$root" "$label" "console=tty0 console=ttyS0,115200 cryptomgr.notests"

say "writing the disk"
assemble_disk "$root" "$label" "$size" "$work/disk.raw"
finish "$work/disk.raw" "$target"
