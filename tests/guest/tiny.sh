#!/bin/bash
# Makes the small guest of the tests and prints its path: a real disk with GRUB (BIOS and UEFI), Debian's
# kernel, busybox, OpenSSH, sudo and the guest agent, up in seconds under emulation.
#
# Users: root, tiny (password tiny, sudo), plain (password plain, no sudo). It reads a NoCloud seed's
# authorized keys and host key. Debian's general kernel, because the cloud kernel lacks AHCI and the
# SCSI controller of `disk_interface = "scsi"`.
# A file `nosshd` on the seed keeps sshd from starting.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"

release=bookworm
size=1536M
label=tiny
packages=(linux-image-amd64 busybox-static openssh-server openssh-sftp-server sudo qemu-guest-agent tar)
programs=(/usr/sbin/sshd /usr/bin/ssh-keygen /usr/lib/openssh/sftp-server /usr/bin/sudo /usr/sbin/qemu-ga /bin/tar)
disk_modules=(virtio_pci virtio_blk virtio_scsi sd_mod ahci ata_piix sym53c8xx nvme ext4)
other_modules=(sr_mod isofs vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859-1 floppy virtio_net e1000 e1000e virtio_console
  virtio_rng button evdev tpm_tis tpm_crb rtc_cmos)

key=$(content_key "$here/tiny.sh" "$here/init" "$here/rcS" "$here/../../scripts/disk.sh" <<<"$release")
target=$(cache_dir)/base/tiny-$key.qcow2
make_once "$target"

tree=$work/tree root=$work/root
say "unpacking the packages"
mmdebstrap --quiet --variant=extract --mode=root --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Apt::Install-Recommends "false"' "$release" "$tree" < <(mirror_sources "$release")
version=$(ls "$tree/lib/modules")
depmod -b "$tree" "$version"

# copy FILE: the file and the libraries it loads, at the same place.
copy() {
  local file
  for file in "$1" $(chroot "$tree" /lib64/ld-linux-x86-64.so.2 --list "$1" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' || true); do
    [ -e "$root$file" ] || install -D -m "$(stat -Lc %a "$tree$file")" "$tree$file" "$root$file"
  done
}

# copy_modules ROOT MODULE...: with what they depend on.
copy_modules() {
  local to=$1 file
  shift
  for file in $(modprobe -d "$tree" -S "$version" -a --show-depends "$@" 2>/dev/null | awk '/^insmod/{print $2}' | sort -u); do
    install -D -m 644 "$file" "$to/lib/modules/$version/${file#*"$version"/}"
  done
  cp "$tree/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$to/lib/modules/$version/"
  depmod -b "$to" "$version"
}

busybox_tree() {
  mkdir -p "$1"/{bin,sbin,usr/bin,usr/sbin,proc,sys,dev,run,mnt,root,tmp,etc,home,var/log}
  chmod 1777 "$1/tmp"
  cp "$(find "$tree" -path '*bin/busybox' -type f | head -n1)" "$1/bin/busybox"
  chroot "$1" /bin/busybox --install -s
}

say "the root file system"
mkdir -p "$root"
busybox_tree "$root"
rm -f "$root"/{,usr/}{bin,sbin}/tar "$root/sbin/init"
for program in "${programs[@]}"; do copy "$program"; done
for plugin in $(cd "$tree" && find usr/libexec/sudo usr/lib/sudo -name '*.so*' 2>/dev/null) \
  $(cd "$tree" && find . -name pam_permit.so | sed 's,^\./,,'); do copy "/$plugin"; done
chmod 4755 "$root/usr/bin/sudo"
copy_modules "$root" "${disk_modules[@]}" "${other_modules[@]}"
ln -sf ../bin/busybox "$root/sbin/init"
install -m 755 "$here/rcS" "$root/etc/rcS"
cat >"$root/etc/inittab" <<'END'
::sysinit:/etc/rcS
ttyS0::respawn:/sbin/getty -n -l /bin/sh 115200 ttyS0
tty1::respawn:/sbin/getty -n -l /bin/sh 38400 tty1
::shutdown:/bin/sh -c 'killall -q sshd qemu-ga; sync; umount -a -r'
END
printf '#!/bin/sh\ncase "$*" in *-r*) exec reboot;; *) exec poweroff;; esac\n' >"$root/sbin/shutdown"
printf '#!/bin/sh\n[ "$1" = bound ] || [ "$1" = renew ] || exit 0\nip addr flush dev $interface; ip addr add $ip/${mask:-24} dev $interface; ip route add default via $router 2>/dev/null\nfor d in $dns; do echo nameserver $d; done >/etc/resolv.conf\n' >"$root/etc/udhcpc.script"
mkdir -p "$root/etc/acpi/PWRF" "$root/etc/ssh" "$root/etc/pam.d" "$root/var/empty"
printf '#!/bin/sh\npoweroff\n' >"$root/etc/acpi/PWRF/00000080"
chmod 755 "$root/sbin/shutdown" "$root/etc/udhcpc.script" "$root/etc/acpi/PWRF/00000080"
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
tiny:x:1000:1000:tiny:/home/tiny:/bin/sh
plain:x:1001:1001:plain:/home/plain:/bin/sh
sshd:x:100:65534::/run/sshd:/bin/false
END
printf 'root:x:0:\ntty:x:5:\ntiny:x:1000:\nplain:x:1001:\nnogroup:x:65534:\n' >"$root/etc/group"
for user in tiny plain; do
  echo "$user:$(openssl passwd -6 "$user"):19000:0:99999:7:::"
  install -d -m 755 -o "$(awk -F: -v u=$user '$1==u{print $3}' "$root/etc/passwd")" "$root/home/$user"
done >"$root/etc/shadow"
printf 'root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n' >>"$root/etc/shadow"
chmod 600 "$root/etc/shadow"
printf 'Defaults secure_path=/usr/sbin:/usr/bin:/sbin:/bin\nroot ALL=(ALL) NOPASSWD: ALL\ntiny ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers"
chmod 440 "$root/etc/sudoers"
printf 'auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession sufficient pam_permit.so\n' >"$root/etc/pam.d/sudo"
cat >"$root/etc/ssh/sshd_config" <<'END'
PermitRootLogin yes
UsePAM no
UseDNS no
PasswordAuthentication yes
AuthorizedKeysFile /etc/ssh/authorized_keys .ssh/authorized_keys
StrictModes no
Subsystem sftp /usr/lib/openssh/sftp-server
HostKey /etc/ssh/ssh_host_ed25519_key
END
echo tiny >"$root/etc/hostname"
printf '127.0.0.1 localhost tiny\n' >"$root/etc/hosts"
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
: >"$root/etc/fstab"

say "the initramfs"
early=$work/early
busybox_tree "$early"
install -m 755 "$here/init" "$early/init"
copy_modules "$early" "${disk_modules[@]}"
printf '%s\n' "${disk_modules[@]}" >"$early/etc/modules"
(cd "$early" && find . | cpio --quiet -o -H newc | gzip -1 >"$root/initrd.img")
cp "$tree/boot/vmlinuz-$version" "$root/vmlinuz"
install_grub_config "$root" "$label" "console=tty0 console=ttyS0,115200 net.ifnames=0 quiet loglevel=4"

say "the disk"
assemble_disk "$root" "$label" "$size" "$work/disk.raw"
finish "$work/disk.raw" "$target"
