#!/bin/bash
# Makes the guest of the VirtualBox tests and prints its path: as little as answers by SSH, as every instruction is
# interpreted.
#
#   tests/virtualbox/guest.sh     -> .../bakehouse/base/vbox-<key>.qcow2
#
# GRUB, Debian's cloud kernel of sid (zstd: what decompresses in a tenth of xz's time), and an initramfs that stays
# the root: busybox and dropbear. The kernel knows no e1000: the machine's card has to be `virtio`. User root,
# password bakehouse; the first disk is /dev/sda.
#
# Made once: <key> hashes these files. Needs root, no loop devices. Status 75: the packages cannot be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"
. "$here/sid.sh"

key=$(content_key "${BASH_SOURCE[0]}" "$here/sid.sh" "$here/../../scripts/disk.sh" </dev/null)
target=$(cache_dir)/base/vbox-$key.qcow2
make_once "$target" # prints the path and exits when it is there already
apt=$work/apt packages=$work/packages initramfs=$work/initramfs root=$work/root

say "taking a kernel, busybox and dropbear from Debian sid"
set_up_apt "$apt"
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
# A kernel is one package, or one for each of its parts.
parts=$(apt-cache depends "$kernel" | awk '/Depends: linux-(base|binary|modules)-/ { print $2 }')
mkdir -p "$packages" "$work/debs"
(cd "$work/debs" && apt-get -qq download "$kernel" $parts busybox-static dropbear-bin \
  $(apt-cache depends dropbear-bin | awk '$1 == "Depends:" && $2 ~ /^z?lib/ { print $2 }') libgmp10) || unavailable
for deb in "$work"/debs/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$packages" --keep-directory-symlink
done
for link in bin sbin lib lib64; do [ -e "$packages/$link" ] || ln -s "usr/$link" "$packages/$link"; done
version=$(ls "$packages/usr/lib/modules")

say "putting the guest together"
mkdir -p "$initramfs"/{bin,sbin,dev,proc,sys,etc/dropbear,root,tmp,run,lib,usr/bin,usr/sbin}
ln -s lib "$initramfs/lib64"
cp "$packages/usr/bin/busybox" "$initramfs/bin/busybox"
cp "$packages/usr/sbin/dropbear" "$packages/usr/bin/dropbearkey" "$initramfs/bin/"
chroot "$packages" "/$(cd "$packages" && ls lib64/ld-linux-x86-64.so.2)" --list /usr/sbin/dropbear | grep -o '/[^ ]*' |
  while read -r library; do cp -L "$packages$library" "$initramfs/lib/"; done
depmod -b "$packages" "$version"
for driver in virtio_net ata_piix sd_mod; do
  modprobe -d "$packages" -S "$version" --show-depends "$driver"
done | awk '$1 == "insmod" { print $2 }' | awk '!seen[$0]++' | while read -r module; do
  name=$(basename "$module" .xz)
  xz -dc "$module" >"$initramfs/lib/$name"
  echo "insmod /lib/$name" >>"$work/insmod"
done
dropbear_key=$initramfs/etc/dropbear/dropbear_ed25519_host_key
chroot "$packages" /usr/bin/dropbearkey -t ed25519 -f /key >/dev/null 2>&1
cp "$packages/key" "$dropbear_key"
echo "root:$(openssl passwd -6 -salt tests bakehouse):0:0:root:/root:/bin/sh" >"$initramfs/etc/passwd"
echo 'root:x:0:' >"$initramfs/etc/group"
echo /bin/sh >"$initramfs/etc/shells"
cat >"$initramfs/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
mount -t proc proc /proc
mount -t sysfs sys /sys
$(cat "$work/insmod")
# VirtualBox's address translation always gives this one.
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
route add default gw 10.0.2.2
dropbear -E && echo "guest: ready"
exec sh </dev/ttyS0 >/dev/ttyS0 2>&1
END
chmod 755 "$initramfs/init"

say "writing the disk"
mkdir -p "$root/boot/grub"
cp "$packages"/usr/lib/modules/"$version"/vmlinuz "$root/vmlinuz" 2>/dev/null || cp "$packages"/boot/vmlinuz-* "$root/vmlinuz"
# GRUB reads by the BIOS, which is the slowest part: small is fast.
(cd "$initramfs" && find . | cpio --quiet -o -H newc -R 0:0 | zstd -q -19) >"$root/initrd.img"
cat >"$root/boot/grub/grub.cfg" <<END
linux /vmlinuz console=ttyS0,115200 net.ifnames=0 nokaslr mitigations=off audit=0 apparmor=0 cryptomgr.notests
initrd /initrd.img
boot
END
raw=$work/disk.raw
truncate -s 64M "$raw"
echo 'start=2048, type=83' | sfdisk --quiet "$raw"
truncate -s 63M "$work/root.ext2"
mke2fs -q -t ext2 -L vboxguest -d "$root" "$work/root.ext2"
dd if="$work/root.ext2" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
write_bios_grub "$raw" 1 vboxguest
finish "$raw" "$target"
