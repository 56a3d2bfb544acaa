#!/bin/bash
# Boots a baked disk once, as it is, and asks its web server for a page.
#
#   templates/debian/check.sh output/debian/debian.qcow2 [--uefi]
#
# No seed, no key, and the disk stays as it is. Exits 1 with the end of the serial log when no page comes.
set -euo pipefail
deadline=240 # seconds; a boot takes half a minute under TCG on an idle machine

die() { echo "check.sh: $*" >&2; exit 1; }

image= uefi=
for word in "$@"; do
  case $word in
    --uefi) uefi=yes ;;
    -*) die "no such option: $word" ;;
    *) image=$word ;;
  esac
done
[ -n "$image" ] || die "usage: check.sh IMAGE.qcow2 [--uefi]"
[ -r "$image" ] || die "cannot read $image"

work=$(mktemp -d "${TMPDIR:-/tmp}/bakehouse-check.XXXXXX")
pid=
clean_up() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  wait # qemu's own status is not ours
  rm -rf "$work"
}
trap clean_up EXIT

# /dev/kvm alone does not say that KVM can run a guest.
accel=tcg
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then accel=kvm; fi

firmware=BIOS
machine=(-machine "pc,accel=$accel" -cpu max)
if [ -n "$uefi" ]; then
  # The first UEFI firmware without secure boot, by QEMU's own firmware descriptors.
  read -r code vars < <(jq -rs '[.[] | select((.["interface-types"] | index("uefi")) and (.mapping.device == "flash")
    and any(.targets[]; .architecture == "x86_64" and any(.machines[]; startswith("pc-q35")))
    and (.features | index("secure-boot") | not))][0].mapping
    | "\(.executable.filename) \(.["nvram-template"].filename)"' /usr/share/qemu/firmware/*.json)
  [ -r "${code:-}" ] || die "no UEFI firmware found in /usr/share/qemu/firmware: install ovmf"
  firmware=UEFI
  cp "$vars" "$work/vars.fd"
  machine=(-machine "q35,accel=$accel" -cpu max
    -drive "if=pflash,format=raw,readonly=on,file=$code" -drive "if=pflash,format=raw,file=$work/vars.fd")
fi

guest=(-smp 2 -m 1024 -display none -drive "file=$image,if=virtio,format=qcow2,snapshot=on")
start() {
  qemu-system-x86_64 "${machine[@]}" "${guest[@]}" -serial "file:$work/serial.log" \
    -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:80" -device virtio-net,netdev=net \
    </dev/null 2>"$work/stderr" &
  pid=$!
}

port=$((20000 + RANDOM % 10000))
start
began=$SECONDS
until status=$(curl --silent --max-time 5 --output "$work/page" --write-out '%{http_code}' "http://127.0.0.1:$port/") &&
  [ "$status" = 200 ]; do
  if ! kill -0 "$pid" 2>/dev/null; then
    grep -q 'host forwarding rule' "$work/stderr" || die "qemu ended: $(cat "$work/stderr")"
    port=$((port + 1)) # taken by somebody else
    start
  fi
  if [ $((SECONDS - began)) -ge "$deadline" ]; then
    tail -n 25 "$work/serial.log" >&2
    die "no page on port 80 of the guest after $deadline s (last answer: ${status:-none}); above, the end of its serial log"
  fi
  sleep 0.2
done

echo "HTTP $status after $((SECONDS - began)) s from $image, booted by $firmware under $accel:"
sed 's/^/  /' "$work/page" | head -n 12
echo "Boot it by hand, then open http://127.0.0.1:8080/ (changes are not kept: snapshot=on):"
echo "  qemu-system-x86_64 -machine pc,accel=$accel -cpu max ${guest[*]} -serial mon:stdio \\"
echo "    -netdev user,id=net,hostfwd=tcp:127.0.0.1:8080-:80 -device virtio-net,netdev=net"
