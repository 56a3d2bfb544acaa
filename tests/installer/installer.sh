#!/bin/bash
# Makes a CD that installs the tiny guest on the first disk of a machine, and prints its path.
#
#   tests/installer/installer.sh  -> .../bakehouse/base/installer-<key>.iso
#
# It boots by BIOS into a menu that waits for Return. The disk must be of 1536 MiB, as the tiny guest's is.
# Made once: <key> hashes this folder and that guest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"

tiny=$("$here/../guest/tiny.sh")
key=$(content_key "$here/installer.sh" "$here/init" "$here/../../scripts/disk.sh" <<<"$(basename "$tiny")")
target=$(cache_dir)/base/installer-$key.iso
make_once "$target"  # prints the path and exits when it is there already

say "putting the CD together"
cd=$work/cd overlay=$work/overlay
mkdir -p "$cd" "$overlay"
qemu-img convert -O raw "$tiny" "$work/disk.raw"
# By pieces of 16 MiB, those of zeroes left out: nearly all of them.
split --bytes=16M --numeric-suffixes --suffix-length=3 "$work/disk.raw" "$work/disk."
for piece in "$work"/disk.[0-9]*; do
  cmp --quiet --bytes=16M "$piece" /dev/zero || gzip -1 <"$piece" >"$cd/$(basename "$piece").gz"
done
# The root of assemble_disk.
dd if="$work/disk.raw" of="$work/root.ext4" bs=1M iflag=skip_bytes skip=$((36864 * 512)) conv=sparse status=none
debugfs -R "dump /vmlinuz $cd/vmlinuz" "$work/root.ext4" 2>/dev/null
debugfs -R "dump /initrd.img $cd/initrd.img" "$work/root.ext4" 2>/dev/null
# A second archive after the first: its files replace those of the same name.
install -m 755 "$here/init" "$overlay/init"
(cd "$overlay" && find . | cpio --quiet -o -H newc -R 0:0 | zstd -q) >>"$cd/initrd.img"
cat >"$cd/grub.cfg" <<'END'
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=-1
menuentry "Install" {
  linux16 /vmlinuz console=tty0 console=ttyS0,115200
  initrd16 /initrd.img
}
END
printf 'set root=(cd)\nset prefix=(cd)\nconfigfile /grub.cfg\n' >"$work/early.cfg"
grub-mkimage -O i386-pc-eltorito -p / -c "$work/early.cfg" -o "$cd/grub.img" \
  biosdisk iso9660 linux16 normal configfile serial terminal test
genisoimage -quiet -R -J -V INSTALLER -b grub.img -no-emul-boot -boot-load-size 4 -boot-info-table \
  -o "$target.partial" "$cd"
mv "$target.partial" "$target"
say "made $target ($(du -h "$target" | cut -f1))"
echo "$target"
