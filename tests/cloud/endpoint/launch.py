"""Launching: what EC2 refuses, which volumes an instance gets, and the start of its guest."""

import base64

from moto.ec2.exceptions import EC2ClientError, InvalidSubnetIdError
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import filter_iam_instance_profiles

from .cloud import cloud
from .volumes import check_volume

USER_DATA_LIMIT = 16384


class LaunchBackend:
    """Mixed into moto's backend, before its classes."""

    def run_instances(self, image_id, count, user_data, security_group_names, **options):
        mappings = options.pop("block_device_mappings", [])
        volume_tags = options.get("tags", {}).get("volume", {})
        nic_tags = options.get("tags", {}).get("network-interface", {})
        mappings = merged_mappings(self.image(image_id), mappings)
        reservation = super().run_instances(
            image_id, count, user_data, security_group_names, block_device_mappings=[], **options
        )
        for instance in reservation.instances:
            instance.reservation_id = reservation.id
            instance.nics[0].add_tags(nic_tags)
            for mapping in mappings:
                self._add_volume(instance, mapping, volume_tags)
            instance.launch()
        return reservation

    def _add_volume(self, instance, mapping, tags):
        ebs = mapping["Ebs"]
        volume = self.create_volume(
            size=ebs.get("VolumeSize"),
            zone_name=instance.placement.zone,
            snapshot_id=ebs.get("SnapshotId"),
            encrypted=bool(ebs.get("Encrypted")),
            kms_key_id=self.key_arn(ebs["KmsKeyId"]) if ebs.get("KmsKeyId") else None,
            volume_type=ebs.get("VolumeType"),
            iops=ebs.get("Iops"),
            throughput=ebs.get("Throughput"),
        )
        volume.add_tags(tags)
        # The guest that gets the volume does not run yet.
        self.attach_volume(volume.id, instance.id, mapping["DeviceName"], ebs.get("DeleteOnTermination", True))

    def check_launch(self, request):
        """Raises what EC2 would refuse this RunInstances with."""
        if not request.get("ImageId"):
            raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
        image = self.image(request["ImageId"])
        if image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is {image.state}.")
        check_type(image, request.get("InstanceType", "m1.small"))
        self._check_key(request.get("KeyName"))
        self._check_network(request)
        check_user_data(request.get("UserData"))
        check_metadata_options(request.get("MetadataOptions", {}))
        self._check_volumes(image, request.get("BlockDeviceMappings", []))
        self._check_profile(request.get("IamInstanceProfile", {}))
        check_capacity(request.get("InstanceType", "m1.small"))

    def _check_key(self, name):
        if name and name not in self.key_pairs:
            raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")

    def _check_network(self, request):
        nic = next((nic for nic in request.get("NetworkInterfaces", []) if nic.get("DeviceIndex") == 0), {})
        subnet_id = request.get("SubnetId") or nic.get("SubnetId")
        if subnet_id:
            if not any(subnet_id in subnets for subnets in self.subnets.values()):
                raise InvalidSubnetIdError(subnet_id)
            vpc_id = self.get_subnet(subnet_id).vpc_id
        else:
            vpc = self.get_default_vpc()
            if vpc is None:
                raise EC2ClientError(
                    "VPCIdNotSpecified",
                    "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
                )
            vpc_id = vpc.id
        for group_id in [*request.get("SecurityGroupIds", []), *nic.get("Groups", [])]:
            group = self.get_security_group_from_id(group_id)
            if group is None:
                raise EC2ClientError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
            if group.vpc_id != vpc_id:
                raise EC2ClientError(
                    "InvalidParameter",
                    f"Security group {group_id} and subnet {subnet_id or 'of the default VPC'} belong to different "
                    "networks.",
                )

    def _check_volumes(self, image, mappings):
        names = [mapping.get("DeviceName") for mapping in mappings]
        if len(set(names)) < len(names):
            raise EC2ClientError("InvalidBlockDeviceMapping", "A device name is mapped more than once.")
        for mapping in merged_mappings(image, mappings):
            ebs = mapping["Ebs"]
            snapshot = self.get_snapshot(ebs["SnapshotId"]) if ebs.get("SnapshotId") else None
            try:
                check_volume(snapshot, ebs.get("VolumeSize"), ebs.get("VolumeType"), ebs.get("Iops"), ebs.get("Throughput"))
            except EC2ClientError as error:
                raise EC2ClientError("InvalidBlockDeviceMapping", error.message) from None
            if ebs.get("KmsKeyId") and not ebs.get("Encrypted"):
                raise EC2ClientError(
                    "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
                )
            if snapshot and snapshot.encrypted and ebs.get("Encrypted") is False:
                raise EC2ClientError(
                    "InvalidParameter", f"A volume of the encrypted snapshot {snapshot.id} cannot be unencrypted."
                )

    def _check_profile(self, profile):
        for key, parameter in (("Name", "iam_instance_profile_name"), ("Arn", "iam_instance_profile_arn")):
            if not profile.get(key):
                continue
            search = {"iam_instance_profile_name": None, "iam_instance_profile_arn": None, parameter: profile[key]}
            try:
                found = filter_iam_instance_profiles(self.account_id, self.partition, **search)
            except Exception:  # IAM's own NotFound, of another family of errors
                found = None
            if not found:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Value ({profile[key]}) for parameter iamInstanceProfile.{key.lower()} is invalid. Invalid IAM "
                    f"Instance Profile {key.lower()}",
                )


def merged_mappings(image, asked):
    """The image's mappings, changed and completed by those of the request. No instance store here."""
    by_device = {mapping["DeviceName"]: dict(mapping.get("Ebs", {})) for mapping in image.block_device_mappings}
    for mapping in asked:
        device = mapping["DeviceName"]
        if "NoDevice" in mapping:
            by_device.pop(device, None)
        elif "Ebs" in mapping:
            ebs = {key: value for key, value in mapping["Ebs"].items() if value is not None}
            own = by_device.get(device, {})
            if ebs.get("VolumeType", own.get("VolumeType")) != own.get("VolumeType"):
                own = {key: value for key, value in own.items() if key not in ("Iops", "Throughput")}
            by_device[device] = own | ebs
    return [{"DeviceName": device, "Ebs": ebs} for device, ebs in by_device.items()]


def check_type(image, instance_type):
    if instance_type not in INSTANCE_TYPES:
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    facts = INSTANCE_TYPES[instance_type]
    architectures = facts["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have "
            "matching architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to "
            "discover the architecture of the instance type or AMI.",
        )
    if image.architecture != "x86_64":
        raise EC2ClientError("Unsupported", "The guests of this endpoint have 64-bit x86 processors.")
    if image.virtualization_type not in facts["SupportedVirtualizationTypes"]:
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Non-Windows instances with a virtualization type of '{image.virtualization_type}' are currently not "
            f"supported for this instance type : {instance_type}.",
        )
    if facts["NetworkInfo"]["EnaSupport"] == "required" and not image.ena_support:
        raise EC2ClientError(
            "InvalidParameterCombination",
            f"Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{instance_type}' "
            "instance type. Ensure that you are using an AMI that is enabled for ENA.",
        )


def check_user_data(user_data):
    if user_data and len(base64.b64decode(str(user_data))) > USER_DATA_LIMIT:
        raise EC2ClientError("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")


def check_metadata_options(options):
    if options.get("HttpTokens") not in (None, "optional", "required"):
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{options['HttpTokens']}' for HttpTokens.")
    hops = options.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= int(hops) <= 64:
        raise EC2ClientError("InvalidParameterValue", f"HttpPutResponseHopLimit {hops} is not between 1 and 64.")


def check_capacity(instance_type):
    if {instance_type, "*"} & set(cloud.settings.no_capacity):
        raise EC2ClientError(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested. "
            "Our system will be working on provisioning additional capacity.",
        )
