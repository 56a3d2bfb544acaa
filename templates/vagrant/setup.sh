#!/bin/sh
# In the guest, as root: what Vagrant expects of a box, and then nothing of the build.
set -eu
export DEBIAN_FRONTEND=noninteractive

# user-data may still be at work with apt.
cloud-init status --wait >/dev/null || true

apt-get -qq update
apt-get -qq install --yes --no-install-recommends -o Dpkg::Use-Pty=0 rsync

# The user of every box. Its key is public knowledge, and Vagrant replaces it at the first `up`.
useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
chmod 440 /etc/sudoers.d/vagrant

# A box has no seed to look for: the addresses come by DHCP, the host keys from ssh-host-keys.service.
touch /etc/cloud/cloud-init.disabled
# Vagrant speaks to the guest's address; looking up its name back only costs time.
echo 'UseDNS no' >/etc/ssh/sshd_config.d/80-vagrant.conf

cloud-init clean --logs
: >/etc/machine-id # empty: a new one at the next boot
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed
rm -rf /root/.ssh /home/*/.ssh /home/*/.bash_history

install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
cat >/home/vagrant/.ssh/authorized_keys <<END
ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key
END
chown vagrant:vagrant /home/vagrant/.ssh/authorized_keys
chmod 600 /home/vagrant/.ssh/authorized_keys

apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/journal/* /var/cache/debconf/*-old

# Blocks that are free in the file system are left out of the image.
fstrim /
sync
