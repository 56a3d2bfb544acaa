"""AMIs that keep what they were made with, and whose snapshots hold disks."""

import copy
import re
from datetime import UTC, timedelta

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models import amis as moto
from moto.ec2.utils import random_ami_id

from .cloud import cloud
from .disks import gib

AMAZON = "137112412989"
NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")

# What a copy and an image of an instance take over from the image they come from.
INHERITED = (
    "architecture", "boot_mode", "ena_support", "imds_support", "platform", "root_device_name",
    "sriov_net_support", "tpm_support", "virtualization_type",
)  # fmt: skip


class Ami(moto.Ami):
    # Plain attributes where moto computes something that has no disk.
    block_device_mappings = None
    hypervisor = "xen"
    image_type = "machine"
    root_device_type = "ebs"
    usage_operation = "RunInstances"
    state_reason = deprecation_time = uefi_data = kernel_id = platform = None
    source_image_id = source_image_region = instance_id = owner_alias = None
    boot_mode = tpm_support = imds_support = sriov_net_support = None
    ena_support = False
    deregistration_protection = "disabled"

    def __init__(self, backend, name, description, owner_id=None, **attributes):
        self.ec2_backend = backend
        self.id = random_ami_id()
        self.name, self.description = name, description or ""
        self.owner_id = owner_id or backend.account_id
        self.image_location = f"{self.owner_id}/{name}"
        self.creation_date = utcnow() - timedelta(seconds=cloud.settings.image_age)
        self.state = "pending"
        self.launch_permissions, self.product_codes = [], set()
        self.block_device_mappings = []
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    @property
    def platform_details(self):
        return "Windows" if self.platform == "windows" else "Linux/UNIX"

    @property
    def snapshot_ids(self):
        return [ebs["SnapshotId"] for ebs in self._ebs() if "SnapshotId" in ebs]

    def _ebs(self):
        return [mapping["Ebs"] for mapping in self.block_device_mappings if "Ebs" in mapping]

    def become_available(self, failure=None):
        if failure := failure or cloud.settings.image_fails:
            code = failure.partition(":")[0]
            self.state, self.state_reason = "failed", {"Code": code, "Message": failure}
        elif self.state == "pending":
            self.state = "available"

    def get_filter_value(self, filter_name, method_name=None):
        if filter_name == "creation-date":
            return self.creation_date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        if filter_name == "block-device-mapping.snapshot-id":
            return self.snapshot_ids
        if filter_name == "ena-support":
            return str(self.ena_support).lower()
        return super().get_filter_value(filter_name, method_name)


class ImageBackend:
    """Mixed into moto's backend, before its classes."""

    def register_disk(self, name, disk, image_id=None):
        """An image of Amazon's, with the disk that the command line named."""
        snapshot = self.new_snapshot(gib(disk.path), "")
        snapshot.disk, snapshot.owner_id = disk, AMAZON
        snapshot.complete()
        image = Ami(
            self, name, f"The disk {disk.path}", owner_id=AMAZON, owner_alias="amazon",
            architecture="x86_64", virtualization_type="hvm", ena_support=True, sriov_net_support="simple",
            root_device_name="/dev/xvda", launch_permissions=[{"Group": "all"}], state="available",
        )  # fmt: skip
        image.id = image_id or image.id
        image.block_device_mappings = [{"DeviceName": "/dev/xvda", "Ebs": _ebs(snapshot, "gp3")}]
        self.amis[image.id] = image
        return image

    def create_image(self, instance_id, name, description, tag_specifications, no_reboot=False, mappings=()):
        self.check_name(name)
        instance = self.get_instance(instance_id)
        if instance.state not in ("running", "stopping", "stopped"):
            raise instance._wrong_state("imaged")
        image = Ami(self, name, description, instance_id=instance_id, **inherited(instance.image))
        image.source_image_id, image.source_image_region = instance.image_id, self.region_name
        volumes = self._map_instance(image, instance, mappings)
        self.amis[image.id] = image
        tag_all(self, image, tag_specifications)
        if instance.guest and not no_reboot:
            instance.restart(lambda: self._freeze(image, volumes))
        else:
            self._freeze(image, volumes)
        return image

    def _map_instance(self, image, instance, mappings):
        """Snapshots of the instance's volumes, and what the request says about them and about further ones."""
        asked = {mapping["DeviceName"]: mapping for mapping in mappings}
        volumes = []
        for device, volume in instance.volumes():
            mapping = asked.pop(device, {})
            if "NoDevice" in mapping:
                continue
            snapshot = self.new_snapshot(volume.size, f"Created by CreateImage({instance.id}) for {image.id}", volume)
            volumes.append((volume, snapshot))
            ebs = _ebs(snapshot, volume.volume_type, volume.iops, volume.throughput)
            ebs["DeleteOnTermination"] = instance.block_device_mapping[device].delete_on_termination
            image.block_device_mappings.append({"DeviceName": device, "Ebs": ebs | mapping.get("Ebs", {})})
        image.block_device_mappings += [mapping for mapping in asked.values() if "NoDevice" not in mapping]
        return volumes

    def _freeze(self, image, volumes):
        for volume, snapshot in volumes:
            if volume.disk is None:
                return image.become_available(f"Client.InvalidVolume: {volume.id} was deleted")
            snapshot.disk = self.freeze(volume)
            cloud.later(cloud.settings.snapshot, snapshot.complete)
        cloud.later(max(cloud.settings.image, cloud.settings.snapshot), image.become_available)

    def register_image(self, name=None, description=None, **given):
        """Like EC2, with defaults from another age: i386 and paravirtual."""
        self.check_name(name)
        image = Ami(self, name, description, **given)
        root = [mapping for mapping in image.block_device_mappings if mapping["DeviceName"] == image.root_device_name]
        if not root or "SnapshotId" not in root[0].get("Ebs", {}):
            raise EC2ClientError(
                "InvalidBlockDeviceMapping", f"The root device {image.root_device_name} has no snapshot in the mapping."
            )
        for mapping in image.block_device_mappings:
            if "SnapshotId" in mapping.get("Ebs", {}):
                mapping["Ebs"] = self._registered(mapping["Ebs"])
        self.amis[image.id] = image
        cloud.later(cloud.settings.image, image.become_available)
        return image

    def _registered(self, ebs):
        snapshot = self.get_snapshot(ebs["SnapshotId"])
        if snapshot.status != "completed":
            raise EC2ClientError(
                "IncorrectState", f"The snapshot '{snapshot.id}' is {snapshot.status}, it has to be completed."
            )
        if int(ebs.get("VolumeSize") or snapshot.volume_size) < snapshot.volume_size:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {ebs['VolumeSize']}GB is smaller than snapshot '{snapshot.id}', expect size>= "
                f"{snapshot.volume_size}GB",
            )
        if "Encrypted" in ebs:
            raise EC2ClientError(
                "InvalidParameterCombination", "the parameter encrypted cannot be given with a snapshot"
            )
        return _ebs(snapshot, "gp2") | ebs

    def copy_image(self, source_image_id, source_region, name=None, description=None, encrypted=False, kms_key_id=None):
        origin = self.in_region(source_region)
        source = origin.image(source_image_id)
        if source.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{source.id}' is {source.state}.")
        self.check_name(name or source.name)
        image = Ami(self, name or source.name, description, **inherited(source))
        image.source_image_id, image.source_image_region = source.id, source_region
        for mapping in copy.deepcopy(source.block_device_mappings):
            if "SnapshotId" in mapping.get("Ebs", {}):
                self._copy_mapping(image, source, origin.get_snapshot(mapping["Ebs"]["SnapshotId"]), mapping["Ebs"],
                                   encrypted, kms_key_id)  # fmt: skip
            image.block_device_mappings.append(mapping)
        self.amis[image.id] = image
        cloud.later(max(cloud.settings.image, cloud.settings.snapshot), image.become_available)
        return image

    def _copy_mapping(self, image, source, original, ebs, encrypted, kms_key_id):
        description = f"Copied for DestinationAmi {image.id} from SourceAmi {source.id}, SourceSnapshot {original.id}"
        encrypted, kms_key_id = self.encryption(original, encrypted, kms_key_id)
        copied = self.new_snapshot(original.volume_size, description, None, encrypted, kms_key_id)
        copied.disk = original.disk
        cloud.later(cloud.settings.snapshot, copied.complete)
        ebs.update(SnapshotId=copied.id, Encrypted=encrypted)

    def check_name(self, name):
        if not name or not NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "parentheses (()), square brackets ([]), spaces ( ), periods (.), slashes (/), dashes (-), single "
                "quotes ('), at-signs (@), or underscores(_)",
            )
        for image in self.amis.values():
            if image.name == name and image.owner_id == self.account_id:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")

    def image(self, image_id):
        if not re.fullmatch(r"ami-[0-9a-f]{8,17}", image_id or ""):
            raise EC2ClientError("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')
        if image_id not in self.amis:
            raise InvalidAMIIdError(image_id)
        return self.amis[image_id]

    def describe_images(self, ami_ids=None, filters=None, exec_users=None, owners=None):
        for image_id in ami_ids or []:
            self.image(image_id)
        return super().describe_images(ami_ids, filters, exec_users, owners)

    def deregister_image(self, ami_id):
        image = self.image(ami_id)
        if image.deregistration_protection != "disabled":
            raise EC2ClientError(
                "OperationNotPermitted", f"The image {ami_id} cannot be deregistered: deregistration protection is on."
            )
        if image.owner_id != self.account_id:
            raise EC2ClientError("AuthFailure", f"Not authorized for image:{ami_id}")
        super().deregister_image(ami_id)

    def deprecate(self, image_id, at):
        """`at` is None to take a deprecation back."""
        if at and not utcnow() < at.replace(tzinfo=None) < utcnow() + timedelta(days=3653):
            raise EC2ClientError(
                "InvalidParameterValue", f"DeprecateAt {at} has to be in the future and at most ten years away."
            )
        image = self.image(image_id)
        image.deprecation_time = at and at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")


def inherited(image):
    return {attribute: getattr(image, attribute) for attribute in INHERITED}


def tag_all(backend, image, tag_specifications):
    for specification in tag_specifications:
        tags = {tag["Key"]: tag["Value"] for tag in specification.get("Tags", [])}
        kind = specification["ResourceType"]
        if kind not in ("image", "snapshot"):
            raise EC2ClientError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        for tagged in [image.id] if kind == "image" else image.snapshot_ids:
            backend.create_tags([tagged], tags)


def _ebs(snapshot, volume_type, iops=None, throughput=None):
    ebs = {
        "SnapshotId": snapshot.id,
        "VolumeSize": snapshot.volume_size,
        "VolumeType": volume_type,
        "DeleteOnTermination": True,
        "Encrypted": snapshot.encrypted,
    }
    return ebs | ({"Iops": iops} if iops else {}) | ({"Throughput": throughput} if throughput else {})
