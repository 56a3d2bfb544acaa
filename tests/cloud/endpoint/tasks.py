"""VM Import/Export: tasks that convert what is in a bucket with qemu-img, or fail with EC2's words."""

import json
import os
import re
import shutil
import tarfile
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

from moto.ec2.exceptions import EC2ClientError
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.s3.models import s3_backends

from .cloud import cloud
from .disks import Disk, convert, fill, gib, info
from .images import Ami

ROLE = "vmimport"
SNAPSHOT_FORMATS = {"RAW": "raw", "VMDK": "vmdk", "VHD": "vpc"}
IMAGE_FORMATS = {**SNAPSHOT_FORMATS, "VHDX": "vhdx", "OVA": None}
EXPORT_FORMATS = {
    "RAW": ("raw", []),
    "VMDK": ("vmdk", ["-o", "subformat=streamOptimized"]),
    "VHD": ("vpc", ["-o", "subformat=dynamic,force_size=on"]),
}
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


class Failed(Exception):
    """What the task's status message says."""


class Task(threading.Thread):
    """One task, described by the attributes that EC2's answers have."""

    def __init__(self, backend, prefix, tags, **facts):
        self.id = f"{prefix}-{mock_random.get_random_hex(17)}"
        super().__init__(name=self.id, daemon=True)
        self.backend, self.facts = backend, facts
        self.status, self.message, self.progress = "active", "pending", "2"
        self.active = True
        self.made = []  # snapshots
        backend.tasks[self.id] = self
        backend.create_tags([self.id], tags)

    @property
    def tags(self):
        return [{"Key": key, "Value": value} for key, value in self.backend.tags.get(self.id, {}).items()]

    def listed(self):
        return {"id": self.id, "status": self.status, "tags": dict(self.backend.tags.get(self.id, {}))}

    def run(self):
        folder = tempfile.mkdtemp(dir=cloud.folder)
        try:
            self.step("converting", "20")
            time.sleep(cloud.settings.task)
            if cloud.settings.task_fails:
                raise Failed(cloud.settings.task_fails)
            self.convert(folder)
            self.step(None, None, "completed")
        except (Failed, EC2ClientError, ValueError) as error:
            self.fail(f"ClientError: {error}")
        except Exception as error:
            self.fail(f"ServerError: {error!r}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def step(self, message, progress, status=None):
        """On to the next step, unless somebody has cancelled the task."""
        with cloud.lock:
            if not self.active:
                raise Failed("cancelled")
            self.message, self.progress = message, progress
            if status:
                self.status, self.active = status, False

    def fail(self, message):
        with cloud.lock:
            if self.active:
                self.status, self.active, self.message, self.progress = "deleted", False, message, None
            elif self.status == "deleting":
                self.status = "deleted"
        for snapshot in self.made:
            self.backend.forget_snapshot(snapshot.id)

    def cancel(self):
        """The state before and after."""
        with cloud.lock:
            if not self.active:
                raise EC2ClientError("IncorrectState", f"The task {self.id} is {self.status}.")
            self.status, self.active, self.message = "deleting", False, "cancelled"
        return "active", "deleting"

    def snapshot_of(self, path, format, description):
        """A new snapshot that holds the disk in this file."""
        size = info(path, "-f", format) if format == "raw" else info(path)
        check_disk(size, format)
        encrypted = bool(self.facts.get("Encrypted"))
        key = self.facts.get("KmsKeyId")
        key = self.backend.key_arn(key) if key else self.backend._create_default_encryption_key() if encrypted else None
        snapshot = self.backend.new_snapshot(gib(path, "-f", format), description, None, encrypted, key)
        self.made.append(snapshot)
        disk = cloud.disks.blank(snapshot.volume_size)
        fill(Disk(path, format, temporary=False), disk)
        snapshot.disk = disk
        snapshot.complete()
        return snapshot


class ImportSnapshot(Task):
    def convert(self, folder):
        container = self.facts["DiskContainer"]
        path, size = fetch(self.backend, container["UserBucket"], folder)
        description = f"Imported by ImportSnapshot {self.id}"
        snapshot = self.snapshot_of(path, SNAPSHOT_FORMATS[container["Format"].upper()], description)
        self.size, self.snapshot_id = size, snapshot.id


class ImportImage(Task):
    def convert(self, folder):
        details = []
        for number, container in enumerate(self.facts["DiskContainers"]):
            for path, format, size, where in self._disks(container, os.path.join(folder, str(number))):
                snapshot = self.snapshot_of(path, format, f"Created by AWS-VMImport service for {self.id}")
                details.append((snapshot, format, size, where, container.get("DeviceName")))
                self.step("updating", str(30 + len(details)))
        self.step("preparing ami", "90")
        self.image_id = self._image(details).id
        self.details = details

    def _disks(self, container, folder):
        """(file, QEMU's format, bytes, bucket) of each disk in a container."""
        os.mkdir(folder)
        if container.get("SnapshotId"):
            snapshot = self.backend.get_snapshot(container["SnapshotId"])
            return [(snapshot.disk.path, snapshot.disk.format, 0, None)]
        where = container["UserBucket"]
        path, size = fetch(self.backend, where, folder)
        format = IMAGE_FORMATS[container.get("Format", "OVA").upper()]
        if format:
            return [(path, format, size, where)]
        return [(disk, "vmdk", os.path.getsize(disk), where) for disk in unpack_ova(path, folder)]

    def _image(self, details):
        root = "/dev/sda1"
        mappings = []
        for number, (snapshot, *_, device) in enumerate(details):
            device = device or (root if number == 0 else f"/dev/sd{chr(ord('a') + number)}")
            ebs = {"SnapshotId": snapshot.id, "VolumeSize": snapshot.volume_size, "VolumeType": "gp2"}
            ebs |= {"DeleteOnTermination": True, "Encrypted": snapshot.encrypted}
            mappings.append({"DeviceName": device, "Ebs": ebs})
        image = Ami(
            self.backend, self.id, f"AWS-VMImport service: {self.facts.get('Description') or ''}".strip(),
            architecture=self.facts.get("Architecture") or "x86_64", virtualization_type="hvm", ena_support=True,
            boot_mode=self.facts.get("BootMode"), root_device_name=mappings[0]["DeviceName"],
            platform="windows" if (self.facts.get("Platform") or "").lower() == "windows" else None,
            block_device_mappings=mappings, state="available",
        )  # fmt: skip
        self.backend.amis[image.id] = image
        return image


class ExportImage(Task):
    def convert(self, folder):
        image = self.backend.image(self.facts["ImageId"])
        snapshot = self.backend.get_snapshot(image.snapshot_ids[0])
        kind = self.facts["DiskImageFormat"].upper()
        format, options = EXPORT_FORMATS[kind]
        path = os.path.join(folder, "exported")
        convert(snapshot.disk.path, path, "-f", snapshot.disk.format, "-O", format, *options)
        self.step("uploading", "85")
        where = self.facts["S3ExportLocation"]
        store(self.backend, where["S3Bucket"], f"{where.get('S3Prefix') or ''}{self.id}.{kind.lower()}", path)


def check_disk(facts, format):
    """What the import service has against a disk."""
    if facts["format"] != format:
        raise Failed(f"Disk validation failed [Unsupported {format.upper()} File Format]")
    if facts["virtual-size"] == 0:
        raise Failed("Disk validation failed [The disk is empty]")
    subformat = facts.get("format-specific", {}).get("data", {}).get("create-type")
    if format == "vmdk" and subformat != "streamOptimized":
        raise Failed("Disk validation failed [Unsupported VMDK File Format]")


def unpack_ova(path, folder):
    """The disks of an OVA, in the order of its descriptor."""
    names = []
    try:
        with tarfile.open(path) as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                names.append(os.path.basename(member.name))
                with open(os.path.join(folder, names[-1]), "wb") as file:
                    shutil.copyfileobj(archive.extractfile(member), file, 1 << 20)
    except tarfile.TarError as error:
        raise Failed(f"Invalid OVA: {error}") from None
    descriptors = [name for name in names if name.endswith(".ovf")]
    if len(descriptors) != 1:
        raise Failed("Invalid OVA: it has to have one OVF descriptor")
    envelope = xml.parse(os.path.join(folder, descriptors[0]))
    files = {it.get(f"{OVF}id"): it.get(f"{OVF}href") for it in envelope.iter(f"{OVF}File")}
    disks = [files.get(it.get(f"{OVF}fileRef")) for it in envelope.iter(f"{OVF}Disk")]
    if not disks or not all(disks):
        raise Failed("Invalid OVA: the descriptor names no disk")
    return [os.path.join(folder, os.path.basename(disk)) for disk in disks]


def bucket(backend, name):
    """A bucket that the service can use; it has to be in the region of the task."""
    found = s3_backends[backend.account_id][backend.partition].buckets.get(name)
    if found is None:
        raise EC2ClientError("InvalidParameter", f"The bucket {name} does not exist or cannot be accessed.")
    if found.region_name != backend.region_name:
        raise EC2ClientError("InvalidParameter", "The given S3 object is not local to the region.")
    return found


def fetch(backend, where, folder):
    """The object as a file, and its size."""
    key = s3_backends[backend.account_id][backend.partition].get_object(where["S3Bucket"], where["S3Key"])
    if key is None:
        raise Failed(f"Invalid S3 source location {where['S3Bucket']}/{where['S3Key']}")
    path = os.path.join(folder, "object")
    with key.lock, open(path, "wb") as file:
        key._value_buffer.seek(0)
        shutil.copyfileobj(key._value_buffer, file, 1 << 20)
    return path, os.path.getsize(path)


def store(backend, bucket_name, name, path):
    key = s3_backends[backend.account_id][backend.partition].put_object(bucket_name, name, b"")
    with key.lock, open(path, "rb") as file:
        key._value_buffer.seek(0)
        shutil.copyfileobj(file, key._value_buffer, 1 << 20)
        key.contentsize = os.path.getsize(path)


def check_role(backend, name):
    """The service role has to exist, and to trust the service with its external id."""
    roles = iam_backends[backend.account_id][backend.partition].roles.values()
    role = next((role for role in roles if role.name == (name or ROLE)), None)
    policy = json.dumps(json.loads(role.assume_role_policy_document)) if role else ""
    if "vmie.amazonaws.com" not in policy or not re.search(r'"sts:[Ee]xternal[Ii]d": "vmimport"', policy):
        raise EC2ClientError(
            "InvalidParameter",
            f"The service role {name or ROLE} provided does not exist or does not have sufficient permissions",
        )
