#!/bin/sh
# In the guest, as root: nginx, serving the site that was uploaded to /tmp/site.
set -eu
export DEBIAN_FRONTEND=noninteractive

# user-data may still be at work with apt.
cloud-init status --wait >/dev/null || true

apt-get -qq update
apt-get -qq install --yes --no-install-recommends -o Dpkg::Use-Pty=0 nginx

install -d /srv/www
install -m 644 /tmp/site/*.html /tmp/site/*.css /srv/www/
install -m 644 /tmp/site/nginx.conf /etc/nginx/sites-available/default
rm -r /tmp/site
nginx -t
systemctl reload nginx
