"""Volumes and snapshots: moto's records with disks behind them."""

import threading

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidSnapshotIdError,
    InvalidSnapshotInUse,
    InvalidVolumeDetachmentError,
    VolumeInUseError,
)
from moto.ec2.models import elastic_block_store as moto
from moto.ec2.utils import random_snapshot_id

from .cloud import cloud

VOLUME_TYPES = {"standard", "gp2", "gp3", "io1", "io2", "st1", "sc1"}
NO_VOLUME = "vol-ffffffff"  # what EC2 calls the volume of a snapshot that no volume was the source of


class Volume(moto.Volume):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.disk = None
        self.creating = False

    @property
    def status(self):
        return "creating" if self.creating else super().status

    @property
    def state(self):
        return self.status


class Snapshot(moto.Snapshot):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.disk = None
        self.status_message = None
        # Of EBS direct: what it reads or writes, the snapshot it was begun from, and an upload while it lasts.
        self.contents = self.parent = self.upload = None
        self.lock = threading.Lock()

    @property
    def state(self):
        return self.status

    @property
    def state_message(self):
        return self.status_message

    @property
    def progress(self):
        return "100%" if self.status == "completed" else "42%"

    def complete(self, failure=None):
        failure = failure or cloud.settings.snapshot_fails
        self.status, self.status_message = ("error", failure) if failure else ("completed", None)


class VolumeBackend:
    """Mixed into moto's backend, before its classes."""

    def create_volume(self, size, zone_name, snapshot_id=None, volume_type=None, iops=None, throughput=None, **options):
        snapshot = self.get_snapshot(snapshot_id) if snapshot_id else None
        check_volume(snapshot, size, volume_type, iops, throughput)
        volume = super().create_volume(
            size, zone_name, snapshot_id, volume_type=volume_type, iops=iops, throughput=throughput, **options
        )
        if snapshot and snapshot.encrypted and not options.get("kms_key_id"):
            volume.kms_key_id = snapshot.kms_key_id
        if volume_type == "gp3":
            volume.throughput = throughput or 125
        volume.size = int(volume.size)
        volume.disk = cloud.disks.overlay(snapshot.disk, volume.size) if snapshot else cloud.disks.blank(volume.size)
        return volume

    def delete_volume(self, volume_id):
        volume = super().delete_volume(volume_id)
        volume.disk = None  # snapshots remember the volume, not what is on it
        return volume

    def attach_volume(self, volume_id, instance_id, device_path, delete_on_termination=False):
        volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
        if volume.attachment:
            raise VolumeInUseError(volume_id, volume.attachment.instance.id)
        if volume.status != "available":
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is not 'available'.")
        if device_path in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use",
            )
        instance.plug(volume)
        return super().attach_volume(volume_id, instance_id, device_path, delete_on_termination)

    def detach_volume(self, volume_id, instance_id, device_path):
        volume = self.get_volume(volume_id)
        if volume.attachment and not instance_id:
            instance_id = volume.attachment.instance.id
        instance = self.get_instance(instance_id)
        if device_path and device_path not in instance.block_device_mapping:
            raise InvalidVolumeDetachmentError(volume_id, instance_id, device_path)
        if volume.attachment:
            instance.unplug(volume)
        return super().detach_volume(volume_id, instance_id, device_path)

    def modify_volume(self, volume_id, target_size=None, **options):
        raise EC2ClientError("UnsupportedOperation", "This endpoint does not modify volumes.")

    def create_snapshot(self, volume_id, description, owner_id=None, from_ami=None):
        volume = self.get_volume(volume_id)
        snapshot = self.new_snapshot(volume.size, description, volume=volume)
        snapshot.disk = self.freeze(volume)
        cloud.later(cloud.settings.snapshot, snapshot.complete)
        return snapshot

    def new_snapshot(self, gib, description, volume=None, encrypted=False, kms_key_id=None):
        """A pending snapshot without a disk; `volume` gives it its encryption."""
        if volume is None:
            volume = Volume(self, NO_VOLUME, int(gib), None, encrypted=encrypted, kms_key_id=kms_key_id)
        snapshot = Snapshot(
            self,
            random_snapshot_id(),
            volume,
            description or "",
            encrypted=volume.encrypted,
            kms_key_id=volume.kms_key_id if volume.encrypted else None,
        )
        snapshot.status = "pending"
        self.snapshots[snapshot.id] = snapshot
        return snapshot

    def freeze(self, volume):
        """The disk that holds what is on the volume now, for good."""
        frozen, instance = volume.disk, volume.attachment and volume.attachment.instance
        volume.disk = cloud.disks.overlay(frozen, volume.size)
        if instance and instance.guest:
            instance.switch(volume)
        return frozen

    def copy_snapshot(self, source_snapshot_id, source_region, description, kms_key_id, encrypted=False):
        source = self.in_region(source_region).get_snapshot(source_snapshot_id)
        if source.status != "completed":
            raise EC2ClientError("IncorrectState", f"The snapshot '{source.id}' is not in the 'completed' state.")
        encrypted, kms_key_id = self.encryption(source, encrypted, kms_key_id)
        copied = self.new_snapshot(source.volume_size, description, None, encrypted, kms_key_id)
        copied.disk = source.disk
        cloud.later(cloud.settings.snapshot, copied.complete)
        return copied

    def encryption(self, source, encrypted, kms_key_id):
        """What a copy of `source` is encrypted with: a copy may gain encryption or change its key."""
        if kms_key_id and not (encrypted or source.encrypted):
            raise EC2ClientError(
                "InvalidParameterDependency", "The parameter [KmsKeyId] requires the parameter Encrypted to be set."
            )
        if not (encrypted or source.encrypted):
            return False, None
        return True, self.key_arn(kms_key_id) if kms_key_id else self._create_default_encryption_key()

    def key_arn(self, key):
        """EC2 answers with the ARN of a key that was given by its id or alias."""
        if key.startswith("arn:"):
            return key
        kind = key if key.startswith("alias/") else f"key/{key}"
        return f"arn:aws:kms:{self.region_name}:{self.account_id}:{kind}"

    def in_region(self, region):
        from moto.ec2.models import ec2_backends

        return ec2_backends[self.account_id][region]

    def describe_snapshots(self, snapshot_ids=None, filters=None):
        for snapshot_id in snapshot_ids or []:
            self.get_snapshot(snapshot_id)
        return super().describe_snapshots(snapshot_ids, filters)

    def get_snapshot(self, snapshot_id):
        if snapshot_id not in self.snapshots:
            error = InvalidSnapshotIdError()
            error.message = f"The snapshot '{snapshot_id}' does not exist."
            raise error
        return self.snapshots[snapshot_id]

    def delete_snapshot(self, snapshot_id):
        self.get_snapshot(snapshot_id)
        for image in self.amis.values():
            if snapshot_id in image.snapshot_ids:
                raise InvalidSnapshotInUse(snapshot_id, image.id)
        return self.snapshots.pop(snapshot_id)


def check_volume(snapshot, size, volume_type, iops, throughput):
    """What EC2 has against a volume."""
    if snapshot and snapshot.status != "completed":
        raise EC2ClientError("IncorrectState", f"Snapshot {snapshot.id} is in state {snapshot.status}, not completed.")
    if snapshot and size and int(size) < snapshot.volume_size:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size>= {snapshot.volume_size}GB",
        )
    kind = volume_type or "gp2"
    if kind not in VOLUME_TYPES:
        raise EC2ClientError("InvalidParameterValue", f"Value ({kind}) for parameter volumeType is invalid.")
    if kind == "gp3" and iops and not 3000 <= int(iops) <= 16000:
        raise EC2ClientError("InvalidParameterValue", f"Volume iops of {iops} is not between 3000 and 16000 for gp3.")
    if kind == "gp3" and throughput and not 125 <= int(throughput) <= 1000:
        raise EC2ClientError(
            "InvalidParameterValue", f"Volume throughput of {throughput} is not between 125 and 1000 for gp3."
        )


class VolumeActions:
    """Mixed into moto's responses, before its classes."""

    def create_volume(self):
        result = super().create_volume()
        volume = result.result
        volume.creating = True
        cloud.later(cloud.settings.volume, lambda: setattr(volume, "creating", False))
        return result

    def copy_snapshot(self):
        self.error_on_dryrun()
        snapshot = self.ec2_backend.copy_snapshot(
            self._get_param("SourceSnapshotId"),
            self._get_param("SourceRegion"),
            self._get_param("Description"),
            self._get_param("KmsKeyId"),
            self._get_bool_param("Encrypted", False),
        )
        snapshot.add_tags(self._parse_tag_specification().get("snapshot", {}))
        return ActionResult({"SnapshotId": snapshot.id, "Tags": snapshot.tag_set})

    def modify_snapshot_attribute(self):
        """moto takes the plain lists only, and SDKs send CreateVolumePermission too."""
        self.error_on_dryrun()
        snapshot_id = self._get_param("SnapshotId")
        snapshot = self.ec2_backend.get_snapshot(snapshot_id)
        permission = self._get_param("CreateVolumePermission", {})
        added, removed = permission.get("Add", []), permission.get("Remove", [])
        plain = [{"UserId": user} for user in self._get_param("UserIds", [])]
        plain += [{"Group": group} for group in self._get_param("GroupNames", [])]
        if plain:
            (added if self._get_param("OperationType") == "add" else removed).extend(plain)
        if snapshot.encrypted and any("Group" in item for item in added):
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly.")
        for item in added:
            self.ec2_backend.add_create_volume_permission(snapshot_id, *_permission(item))
        for item in removed:
            self.ec2_backend.remove_create_volume_permission(snapshot_id, *_permission(item))
        return EmptyResult()


def _permission(item):
    return [item["UserId"]] if "UserId" in item else [], [item["Group"]] if "Group" in item else []
