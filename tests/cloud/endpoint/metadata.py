"""The instance metadata service: version 2 with its tokens, version 1 where the instance allows it."""

import base64
import json
import os
import secrets
import socketserver
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

VERSIONS = ["1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest"]


class MetadataService(socketserver.ThreadingUnixStreamServer):
    """Listens on a socket of the file system; the first line of a connection names the instance."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path, find_instance):
        super().__init__(path, Handler)
        self.path = path
        self.find_instance = find_instance
        self.tokens = {}  # (instance id, token) -> when it ends
        threading.Thread(target=self.serve_forever, name="metadata", daemon=True).start()

    def handle_error(self, request, client_address):
        """A guest that hangs up in the middle is nothing to report."""


class Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "EC2ws", ""

    def handle(self):
        self.instance = self.server.find_instance(self.rfile.readline().decode().strip())
        super().handle()

    def log_message(self, *_):
        pass

    def do_PUT(self):
        if not self._allowed():
            return
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path.split("/", 2)[-1] != "api/token" or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            return self._answer(400, "bad request")
        token = secrets.token_urlsafe(40)
        self.server.tokens[self.instance.id, token] = time.monotonic() + int(ttl)
        self._answer(200, token, {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl})

    def do_GET(self):
        if not self._allowed():
            return
        token = self.headers.get("X-aws-ec2-metadata-token")
        if token is None and self.instance.metadata_options.http_tokens == "required":
            return self._answer(401, "a token is required")
        if token is not None and self.server.tokens.get((self.instance.id, token), 0) < time.monotonic():
            return self._answer(401, "the token is unknown or has expired")
        found = look_up(self.instance, self.path)
        self._answer(404, "not found") if found is None else self._answer(200, found)

    do_HEAD = do_GET

    def _allowed(self):
        """No answer to what a proxy passed on: that is what tokens protect from."""
        if self.instance is None or self.instance.metadata_options.http_endpoint == "disabled":
            self._answer(403, "the service is off")
        elif "X-Forwarded-For" in self.headers:
            self._answer(403, "forwarded requests are refused")
        else:
            return True
        return False

    def _answer(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def look_up(instance, path):
    """The value at a path, or the names below it, a slash after those that have some below themselves."""
    names = [name for name in path.partition("?")[0].split("/") if name]
    if not names:
        return "\n".join(VERSIONS)
    version, *names = names
    if version not in VERSIONS:
        return None
    here = tree(instance)
    for name in names:
        # A key's folder is listed as 0=its-name and opened as 0.
        here = here.get(name) if isinstance(here, dict) else None
        if here is None:
            return None
    if isinstance(here, dict):
        return "\n".join(_listed(instance, name, below) for name, below in here.items())
    return here


def _listed(instance, name, below):
    if isinstance(below, dict) and "openssh-key" in below:
        return f"{name}={instance.key_name}"
    return name + "/" if isinstance(below, dict) else name


def tree(instance):
    """Everything the service tells this instance; folders are dictionaries."""
    user_data = base64.b64decode(str(instance.user_data)) if instance.user_data else None
    meta_data = {name: value for name, value in _meta_data(instance).items() if value is not None}
    dynamic = {"instance-identity": {"document": json.dumps(_identity(instance), indent=2)}}
    return {"meta-data": meta_data, "dynamic": dynamic} | ({"user-data": user_data} if user_data else {})


def _meta_data(instance):
    nic = instance.nics[0]
    key = instance.ec2_backend.key_pairs.get(instance.key_name)
    groups = "\n".join(sorted(group.name for group in nic.group_set))
    return {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "block-device-mapping": {"ami": instance.root_device_name, "root": instance.root_device_name},
        "hostname": instance.host_name,
        "iam": _iam(instance),
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.host_name,
        "local-ipv4": instance.private_ip,
        "mac": nic.mac_address,
        "network": {"interfaces": {"macs": {nic.mac_address: _interface(instance, nic, groups)}}},
        "placement": {
            "availability-zone": instance.placement.zone,
            "region": instance.ec2_backend.region_name,
        },
        "public-hostname": instance.public_dns_name,
        "public-ipv4": instance.public_ip,
        "public-keys": {"0": {"openssh-key": key.public_key.strip() + "\n"}} if key else None,
        "reservation-id": instance.reservation_id,
        "security-groups": groups,
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        "tags": _tags(instance),
    }


def _interface(instance, nic, groups):
    interface = {
        "device-number": "0",
        "interface-id": nic.id,
        "local-hostname": instance.host_name,
        "local-ipv4s": nic.private_ip_address,
        "mac": nic.mac_address,
        "owner-id": nic.owner_id,
        "public-ipv4s": nic.public_ip,
        "security-group-ids": "\n".join(sorted(group.id for group in nic.group_set)),
        "security-groups": groups,
        "subnet-id": nic.subnet_id,
        "subnet-ipv4-cidr-block": nic.subnet.cidr_block,
        "vpc-id": nic.vpc_id,
    }
    return {name: value for name, value in interface.items() if value is not None}


def _tags(instance):
    if instance.metadata_options.instance_metadata_tags != "enabled":
        return None
    return {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}


def _iam(instance):
    profile = instance.iam_instance_profile
    if not profile:
        return None
    role = os.path.basename(profile["Arn"])
    now = datetime.now(UTC)
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    credentials = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": now.strftime(stamp),
        "Expiration": (now + timedelta(hours=6)).strftime(stamp),
        "AccessKeyId": "ASIAENDPOINTONLOOPBK",
        "SecretAccessKey": "of-the-instance-profile",
        "Token": "of-the-instance-profile",
    }
    info = {"Code": "Success", "InstanceProfileArn": profile["Arn"], "InstanceProfileId": profile["Id"]}
    return {"info": json.dumps(info), "security-credentials": {role: json.dumps(credentials)}}


def _identity(instance):
    return {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.placement.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "privateIp": instance.private_ip,
        "region": instance.ec2_backend.region_name,
        "version": "2017-09-30",
    }
