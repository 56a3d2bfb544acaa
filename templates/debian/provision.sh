#!/bin/sh
# Runs in the guest as root: the service, then everything that must not travel in an image.
set -eu

cloud-init status --wait >/dev/null 2>&1 || true # it may still hold apt's lock
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --no-install-recommends nginx-light >/dev/null

mkdir -p /srv
mv /tmp/site /srv/site
mv /srv/site/nginx.conf /etc/nginx/sites-available/default
chown -R root:root /srv/site
nginx -t -q
systemctl --quiet enable nginx

apt-get -qq clean
rm -rf /var/lib/apt/lists/*
cloud-init clean --logs --machine-id --seed
rm -f /etc/ssh/ssh_host_* /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
fstrim / || true # a disk without discard is compacted all the same
