#!/bin/bash
# Fetches a real VirtualBox for the tests and prints the path of its VBoxManage.
#
#   tests/virtualbox/root.sh      -> .../bakehouse/virtualbox-<key>/bin/VBoxManage
#
# Debian's packages (sid, contrib) are unpacked into a folder: only VBoxManage, VBoxSVC and VBoxHeadless with the
# libraries that they link to. The wrapper runs them in that folder as root, in a mount namespace of its own, in which
# /tmp, /root and /home are this machine's. No kernel module: VBoxHeadless is told to do without one, and a
# machine runs on VirtualBox's interpreter where its configuration allows it (VBoxInternal/HM/FallbackToIEM).
#
# Made once: <key> hashes these files. Needs root. Status 75: the packages cannot be had.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/disk.sh"
. "$here/sid.sh"

key=$(content_key "${BASH_SOURCE[0]}" "$here/sid.sh" </dev/null)
target=$(cache_dir)/virtualbox-$key/bin/VBoxManage
make_once "$target" # prints the path and exits when it is there already
final=$(cache_dir)/virtualbox-$key root=$work/root apt=$work/apt
trap 'rm -rf "$work" "$target.lock"' EXIT

# The libraries that the three programs load; not those of the window, of Python, of systemd.
libraries() {
  local wanted='libc6 libcurl.* libgcc-s1 libjpeg.* liblzf.* liblzma.* libvncserver1 libogg.* libpng.* libssl.*
    libstdc.* libtpms.* libvorbis.* libvpx.* libxml2.* zlib1g'
  apt-cache show virtualbox | sed -n 's/^Depends: //p' | head -1 | tr ',' '\n' | sed 's/^ *//; s/[ (|:].*//' |
    grep -xE "$(echo $wanted | tr ' ' '|')"
}

unpack() {
  local deb
  mkdir -p "$root"
  for deb in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
      --exclude=./usr/share/{doc,man,locale,applications} --exclude='*/gconv/*' \
      --exclude='*/virtualbox/sdk' --exclude='*/VBoxEFI-arm*' --exclude='*/VBoxDxVk.so' --exclude='*/vboxwebsrv'
  done
  local link
  for link in bin sbin lib lib64; do [ -e "$root/$link" ] || ln -s "usr/$link" "$root/$link"; done
  mkdir -p "$root"/{proc,dev,sys,tmp,root,home,etc,usr/lib64}
  [ -e "$root/usr/lib64/ld-linux-x86-64.so.2" ] ||
    ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/usr/lib64/"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  chown root:root "$root" "$root/usr" "$root/usr/lib" "$root/usr/lib/virtualbox"
}

# VBoxHeadless passes its start routine no flags (`xor esi, esi`); 0x300 is "without a driver" and "the
# interpreter is allowed". Three bytes more, taken from the padding behind the jump; its targets move along.
allow_no_driver() {
  LC_ALL=C perl -0777 -i -pe '
    $found = s{(\x48\x89\xf1\x49\x89\xd0)\x31\xf6(\x89\xfa\x48\x8d\x3d)(.{4})\xe9(.{4})\x66\x2e\x0f(?=\x1f\x84)}
      {$1 . "\xbe" . pack("V", 0x300) . $2 . pack("l<", unpack("l<", $3) - 3)
        . "\xe9" . pack("l<", unpack("l<", $4) - 3)}se;
    END { exit($found ? 0 : 1) }' "$1"
}

write_wrapper() {
  mkdir -p "$1/bin"
  cat >"$1/bin/VBoxManage" <<'END'
#!/bin/sh
export VBOX_ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")/root VBOX_HERE=$PWD
export USER=root LOGNAME=root HOME=${HOME:-/root} LC_ALL=C.UTF-8
exec unshare -m --propagation private /bin/sh -c '
  for dir in /proc /dev /sys /tmp /root /home; do mount --rbind "$dir" "$VBOX_ROOT$dir"; done
  [ -d "$VBOX_ROOT$VBOX_HERE" ] || VBOX_HERE=/
  exec unshare --root="$VBOX_ROOT" --wd="$VBOX_HERE" /usr/lib/virtualbox/VBoxManage "$@"' VBoxManage "$@"
END
  chmod 755 "$1/bin/VBoxManage"
}

say "fetching VirtualBox from Debian sid"
set_up_apt "$apt"
apt-get -qq -y --download-only install $(libraries) libc-bin >/dev/null || unavailable
(cd "$apt/archives" && apt-get -qq download virtualbox) || unavailable
unpack
allow_no_driver "$root/usr/lib/virtualbox/VBoxHeadless" || { say "VBoxHeadless is not as it was: cannot patch it"; exit 1; }
mkdir -p "$final"
rm -rf "$final/root"
cp -a "$root" "$final/root"
write_wrapper "$work"
mkdir -p "$final/bin"
cp "$work/bin/VBoxManage" "$target.partial"
mv "$target.partial" "$target"
"$target" --version >/dev/null || { say "the VBoxManage that was fetched does not run"; rm "$target"; exit 1; }
say "made $target ($("$target" --version))"
echo "$target"
