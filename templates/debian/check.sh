#!/bin/bash
# Boots a baked image once, without the build's key or seed, and asks its service over HTTP.
#
#   templates/debian/check.sh output/debian/debian.qcow2 [--uefi]
set -euo pipefail
image=$(realpath "$1")
firmware=()
if [ "${2:-}" = --uefi ]; then
  firmware=(-bios /usr/share/ovmf/OVMF.fd)
fi
deadline=300
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
work=$(mktemp -d)
accel=tcg
if grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then accel=kvm:tcg; fi

# -snapshot: whatever the guest writes is thrown away.
qemu-system-x86_64 -machine "accel=$accel" -smp 2 -m 1024 -display none -snapshot \
  "${firmware[@]}" -drive "file=$image,if=virtio,format=qcow2" \
  -nic "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$port-:80" -serial "file:$work/serial.log" &
qemu=$!
trap 'kill $qemu 2>/dev/null; wait $qemu 2>/dev/null; rm -rf "$work"' EXIT

echo "Booting $image without key or seed ..."
while ! curl --silent --fail --max-time 5 "http://127.0.0.1:$port/" --output "$work/page"; do
  if [ $SECONDS -ge $deadline ] || ! kill -0 $qemu 2>/dev/null; then
    echo "The service did not answer within $deadline s. The last lines of the serial console:" >&2
    tail -n 20 "$work/serial.log" >&2
    exit 1
  fi
  sleep 0.25
done

echo "It answered over HTTP after $SECONDS s:"
sed 's/^/    /' "$work/page"
cat <<END

Boot it by hand (the page is then at http://127.0.0.1:8080/):
    qemu-system-x86_64 -machine accel=kvm:tcg -smp 2 -m 1024 -nographic \\
      -drive file=$1,if=virtio -nic user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:8080-:80
END
