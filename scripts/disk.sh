# Bootable disks without loop devices: sourced by templates/debian/base.sh and tests/guest/tiny.sh.
#
# GPT with a BIOS boot partition, an EFI system partition and an ext4 root; the boot sector and GRUB's
# core image are written where grub-bios-setup would put them, which itself needs a block device.

say() { echo "$(basename "$0"): $*" >&2; }

cache_dir() { echo "${BAKEHOUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bakehouse}"; }

# content_key FILE... <TEXT: twelve hex digits of everything that decides what the disk holds.
content_key() { cat "$@" - | sha256sum | cut -c1-12; }

# make_once TARGET: prints TARGET and exits when it exists; else takes the lock and makes $work.
make_once() {
  target=$1
  if [ -e "$target" ]; then
    echo "$target"
    exit 0
  fi
  mkdir -p "$(dirname "$target")"
  if [ "$(id -u)" != 0 ]; then
    say "needs root to make $target: asking sudo"
    exec sudo env BAKEHOUSE_CACHE="$(cache_dir)" "$0"
  fi
  exec 9>"$target.lock"
  flock 9
  if [ -e "$target" ]; then
    echo "$target"
    exit 0
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/bakehouse-disk.XXXXXX")
  trap 'rm -rf "$work" "$target.lock" "$target.partial"' EXIT
}

# mirror_sources RELEASE: one-line sources of this machine's own package mirror.
mirror_sources() {
  local release=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
    sort -u | while read -r site suite; do
    case $suite in
      "$release" | "$release-updates" | "$release-security") echo "deb [signed-by=$keyring] $site $suite main" ;;
    esac
  done
}

# install_grub_config ROOT LABEL KERNEL_ARGS: /vmlinuz and /initrd.img are links that Debian's kernel
# packages keep up to date, so an update of the kernel needs no new configuration.
install_grub_config() {
  mkdir -p "$1/boot/grub"
  cat >"$1/boot/grub/grub.cfg" <<END
set timeout=0
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
search --no-floppy --label --set=root $2
# By its 16-bit entry, which only a BIOS has, an emulated machine unpacks a kernel two seconds sooner.
if [ "\$grub_platform" = pc ]; then set entry=16; fi
linux\$entry /vmlinuz root=LABEL=$2 ro $3
initrd\$entry /initrd.img
boot
END
}

# assemble_disk ROOT LABEL SIZE RAW
assemble_disk() {
  local root=$1 label=$2 size=$3 raw=$4
  truncate -s "$size" "$raw"
  # Whole MiB, as sfdisk rounds, less the second partition table at the end.
  local sectors=$((($(stat -c %s "$raw") / 512 - 36864 - 34) / 2048 * 2048))
  sfdisk --quiet "$raw" <<END
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=bios
start=4096, size=32768, type=U, name=esp
start=36864, size=$sectors, type=L, name=root
END
  write_bios_grub "$raw" 2048 "$label"
  write_esp "$raw" 4096 32768 "$label"
  local fs=$work/root.ext4
  truncate -s $((sectors * 512)) "$fs"
  mke2fs -q -t ext4 -b 4096 -L "$label" -E lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$fs"
  dd if="$fs" of="$raw" bs=1M oflag=seek_bytes seek=$((36864 * 512)) conv=notrunc,sparse status=none
  rm "$fs"
}

grub_modules="part_gpt part_msdos ext2 search search_label normal configfile linux serial terminal echo test all_video"

# write_bios_grub RAW SECTOR LABEL: boot.img names the sector of core.img (offset 0x5c), core.img's first
# sector that of its rest (0x1f4); 0x66 is the jump that a hard disk's boot sector must not take.
write_bios_grub() {
  local raw=$1 sector=$2 label=$3 lib=/usr/lib/grub/i386-pc
  printf 'search.fs_label %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$label" >"$work/early.cfg"
  grub-mkimage -O i386-pc -p /boot/grub -c "$work/early.cfg" -o "$work/core.img" biosdisk linux16 $grub_modules
  cp "$lib/boot.img" "$work/boot.img"
  patch_bytes "$work/boot.img" $((0x5c)) "$(le64 "$sector")"
  patch_bytes "$work/boot.img" $((0x66)) '\x90\x90'
  patch_bytes "$work/core.img" $((0x1f4)) "$(le64 $((sector + 1)))"
  dd if="$work/boot.img" of="$raw" bs=440 count=1 conv=notrunc status=none
  dd if="$work/core.img" of="$raw" bs=512 seek="$sector" conv=notrunc status=none
}

le64() {
  local n=$1 i
  for i in 1 2 3 4 5 6 7 8; do
    printf '\\x%02x' $((n & 255))
    n=$((n >> 8))
  done
}

patch_bytes() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# write_esp RAW SECTOR SECTORS LABEL: Debian's signed shim and GRUB at the removable path, which every
# firmware tries and secure boot accepts.
write_esp() {
  local raw=$1 sector=$2 sectors=$3 label=$4 esp=$work/esp.img debs=$work/debs
  mkdir -p "$debs"
  (cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download shim-signed grub-efi-amd64-signed && for deb in *.deb; do dpkg-deb -x "$deb" .; done)
  truncate -s $((sectors * 512)) "$esp"
  mkfs.vfat -n ESP "$esp" >/dev/null
  printf 'search.fs_label %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$label" >"$work/esp.cfg"
  mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
  mcopy -i "$esp" "$debs/usr/lib/shim/shimx64.efi.signed" ::/EFI/BOOT/BOOTX64.EFI
  mcopy -i "$esp" "$debs/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" ::/EFI/BOOT/grubx64.efi
  mcopy -i "$esp" "$work/esp.cfg" ::/EFI/debian/grub.cfg
  dd if="$esp" of="$raw" bs=512 seek="$sector" conv=notrunc,sparse status=none
}

# finish RAW TARGET: a compressed qcow2 that appears only when it is complete.
finish() {
  qemu-img convert -q -W -m 8 -c -o compression_type=zstd -O qcow2 "$1" "$2.partial"
  mv "$2.partial" "$2"
  say "made $2 ($(du -h "$2" | cut -f1))"
  echo "$2"
}
