#!/bin/sh
# In the guest, as root, last: forgets the build, so that every machine made from the disk is its own.
set -eu

cloud-init clean --logs
: >/etc/machine-id # empty: a new one at the next boot
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
rm -rf /root/.ssh /home/*/.ssh /home/*/.bash_history

apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/journal/* /var/cache/debconf/*-old

# Blocks that are free in the file system are left out of the image.
fstrim /
sync
