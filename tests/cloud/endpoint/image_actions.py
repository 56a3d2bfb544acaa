"""The actions about images: what moto's responses drop or do not have."""

from dateutil.parser import isoparse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import AuthFailureRestricted, EC2ClientError

from .images import tag_all

REGISTERED = {
    "Architecture": ("architecture", "i386"),
    "BlockDeviceMappings": ("block_device_mappings", []),
    "BootMode": ("boot_mode", None),
    "EnaSupport": ("ena_support", False),
    "ImdsSupport": ("imds_support", None),
    "RootDeviceName": ("root_device_name", None),
    "SriovNetSupport": ("sriov_net_support", None),
    "TpmSupport": ("tpm_support", None),
    "UefiData": ("uefi_data", None),
    "VirtualizationType": ("virtualization_type", "paravirtual"),
}

# DescribeImageAttribute: the attribute, the member of the answer, where the value is.
ATTRIBUTES = {
    "bootMode": ("BootMode", "boot_mode"),
    "deregistrationProtection": ("DeregistrationProtection", "deregistration_protection"),
    "description": ("Description", "description"),
    "imdsSupport": ("ImdsSupport", "imds_support"),
    "kernel": ("KernelId", "kernel_id"),
    "lastLaunchedTime": ("LastLaunchedTime", "last_launched_time"),
    "sriovNetSupport": ("SriovNetSupport", "sriov_net_support"),
    "tpmSupport": ("TpmSupport", "tpm_support"),
    "uefiData": ("UefiData", "uefi_data"),
}


class ImageActions:
    """Mixed into moto's responses, before its classes."""

    def create_image(self):
        self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.ec2_backend.check_name(self._get_param("Name"))
        self.error_on_dryrun()
        image = self.ec2_backend.create_image(
            self._get_param("InstanceId"),
            self._get_param("Name"),
            self._get_param("Description", ""),
            self._get_param("TagSpecifications", []),
            self._get_bool_param("NoReboot", False),
            self._get_param("BlockDeviceMappings", []),
        )
        return ActionResult({"ImageId": image.id})

    def register_image(self):
        self.ec2_backend.check_name(self._get_param("Name"))
        given = {name: self._get_param(key, default) for key, (name, default) in REGISTERED.items()}
        if given["architecture"] == "arm64":
            given["boot_mode"] = given["boot_mode"] or "uefi"
        if given["tpm_support"] and given["boot_mode"] != "uefi":
            raise EC2ClientError("InvalidParameterCombination", "TpmSupport needs the boot mode uefi.")
        self.error_on_dryrun()
        image = self.ec2_backend.register_image(self._get_param("Name"), self._get_param("Description"), **given)
        tag_all(self.ec2_backend, image, self._get_param("TagSpecifications", []))
        return ActionResult({"ImageId": image.id})

    def copy_image(self):
        self.ec2_backend.check_name(self._get_param("Name"))
        self.error_on_dryrun()
        image = self.ec2_backend.copy_image(
            self._get_param("SourceImageId"),
            self._get_param("SourceRegion"),
            self._get_param("Name"),
            self._get_param("Description"),
            self._get_bool_param("Encrypted", False),
            self._get_param("KmsKeyId"),
        )
        if self._get_bool_param("CopyImageTags", False):
            source = self.ec2_backend.in_region(self._get_param("SourceRegion")).image(image.source_image_id)
            image.add_tags({tag["key"]: tag["value"] for tag in source.get_tags()})
        tag_all(self.ec2_backend, image, self._get_param("TagSpecifications", []))
        return ActionResult({"ImageId": image.id})

    def deregister_image(self):
        snapshot_ids = self.ec2_backend.image(self._get_param("ImageId")).snapshot_ids
        result = super().deregister_image()
        if not self._get_bool_param("DeleteAssociatedSnapshots", False):
            return result
        results = [self._delete_associated(snapshot_id) for snapshot_id in snapshot_ids]
        return ActionResult({"Return": True, "DeleteSnapshotResults": results})

    def _delete_associated(self, snapshot_id):
        """A snapshot that another image is made of stays."""
        shared = any(snapshot_id in image.snapshot_ids for image in self.ec2_backend.amis.values())
        if not shared:
            self.ec2_backend.delete_snapshot(snapshot_id)
        return {"SnapshotId": snapshot_id, "ReturnCode": "skipped" if shared else "success"}

    def modify_image_attribute(self):
        image = self.ec2_backend.image(self._get_param("ImageId"))
        added = self._get_param("LaunchPermission", {}).get("Add", [])
        if self._get_param("OperationType") == "add":
            added = added + [{"Group": group} for group in self._get_param("UserGroups", [])]
        encrypted = any(self.ec2_backend.get_snapshot(snapshot).encrypted for snapshot in image.snapshot_ids)
        if encrypted and {"Group": "all"} in added:
            raise EC2ClientError("InvalidParameter", f"{image.id} has encrypted snapshots: it cannot be made public.")
        self.error_on_dryrun()
        for key, attribute in (("Description", "description"), ("ImdsSupport", "imds_support")):
            if (value := self._get_param(f"{key}.Value")) is not None:
                setattr(image, attribute, value)
        if self._get_param("Attribute") in ("description", "imdsSupport"):
            setattr(image, ATTRIBUTES[self._get_param("Attribute")][1], self._get_param("Value"))
        return super().modify_image_attribute()

    def describe_image_attribute(self):
        image, attribute = self.ec2_backend.image(self._get_param("ImageId")), self._get_param("Attribute")
        if attribute == "blockDeviceMapping":
            raise AuthFailureRestricted
        if attribute not in ATTRIBUTES:
            return super().describe_image_attribute()
        key, name = ATTRIBUTES[attribute]
        return ActionResult({"ImageId": image.id, key: {"Value": getattr(image, name, None)}})

    def enable_image_deprecation(self):
        at = self._get_param("DeprecateAt")
        self.error_on_dryrun()
        self.ec2_backend.deprecate(self._get_param("ImageId"), isoparse(at) if isinstance(at, str) else at)
        return ActionResult({"Return": True})

    def disable_image_deprecation(self):
        self.error_on_dryrun()
        self.ec2_backend.deprecate(self._get_param("ImageId"), None)
        return ActionResult({"Return": True})

    def enable_image_deregistration_protection(self):
        cooldown = self._get_bool_param("WithCooldown", False)
        return self._protect("enabled-with-cooldown" if cooldown else "enabled")

    def disable_image_deregistration_protection(self):
        return self._protect("disabled")

    def _protect(self, protection):
        image = self.ec2_backend.image(self._get_param("ImageId"))
        self.error_on_dryrun()
        image.deregistration_protection = protection
        return ActionResult({"Return": protection})

    def reset_image_attribute(self):
        self.error_on_dryrun()
        self.ec2_backend.image(self._get_param("ImageId")).launch_permissions.clear()
        return EmptyResult()
