"""The actions about instances, fleets and their consoles."""

import base64

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import random_fleet_id, random_spot_request_id

from .cloud import cloud

# What moto drops of a RunInstances, and DescribeInstances should give back.
KEPT = {
    "CapacityReservationSpecification": "capacity_reservation_specification",
    "CpuOptions": "cpu_options",
    "CreditSpecification": "credit_specification",
    "EnclaveOptions": "enclave_options",
    "HibernationOptions": "hibernation_options",
    "LicenseSpecifications": "licenses",
    "MaintenanceOptions": "maintenance_options",
}


class InstanceActions:
    """Mixed into moto's responses, before its classes."""

    def run_instances(self):
        self.params = self._with_template(dict(self.params))
        self.ec2_backend.check_launch(self.params)
        # EC2 launches as many as it can, moto as few as it may.
        self.params["MinCount"] = self.params.get("MaxCount", 1)
        result = super().run_instances()
        reservation = result.result
        reservation.groups = []
        for instance in reservation.instances:
            self._keep(instance)
        return result

    def _parse_block_device_mapping(self):
        return self._get_param("BlockDeviceMappings", [])  # moto would drop parts of them

    def _keep(self, instance):
        for key, attribute in KEPT.items():
            if key in self.params:
                setattr(instance, attribute, self.params[key])
        placement = self.params.get("Placement", {})
        instance.placement.tenancy = placement.get("Tenancy", "default")
        instance.placement.group_name = placement.get("GroupName", "")
        market = self.params.get("InstanceMarketOptions", {})
        if market.get("MarketType") == "spot":
            instance.lifecycle = "spot"
            instance.spot_instance_request_id = random_spot_request_id()
            tags = self._parse_tag_specification().get("spot-instances-request", {})
            self.ec2_backend.create_tags([instance.spot_instance_request_id], tags)

    def _with_template(self, params):
        """The launch template's parameters, overridden by those of the request."""
        named = params.pop("LaunchTemplate", None)
        if not named:
            return params
        data = dict(self.ec2_backend._get_template_from_args(named).data)
        if data.get("UserData"):
            data["UserData"] = str(data["UserData"])
        return data | params

    def stop_instances(self):
        result = super().stop_instances()
        if self._get_bool_param("Force", False):
            for instance_id in self._get_param("InstanceIds", []):
                self.ec2_backend.get_instance(instance_id).cut_power()
        return result

    def modify_instance_attribute(self):
        """moto has no way to set these."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        behavior = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        ena, sriov = self._get_param("EnaSupport.Value"), self._get_param("SriovNetSupport.Value")
        if behavior is None and ena is None and sriov is None:
            return super().modify_instance_attribute()
        self.error_on_dryrun()
        if behavior:
            instance.instance_initiated_shutdown_behavior = behavior
        if (ena is not None or sriov) and instance.state != "stopped":
            raise EC2ClientError("IncorrectInstanceState", f"The instance '{instance.id}' is not 'stopped'.")
        instance.set_network_support(ena, sriov)
        return EmptyResult()

    def get_console_output(self):
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": instance.console()})

    def get_password_data(self):
        """A Windows guest would post its password some time after its boot, encrypted to the instance's key."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        ready = (utcnow() - instance.launch_time.replace(tzinfo=None)).total_seconds() >= cloud.settings.password
        key = self.ec2_backend.key_pairs.get(instance.key_name)
        data = encrypted(instance.password, key) if ready and key else ""
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "PasswordData": data})

    # Fleets: every launch of an instant fleet is a RunInstances with a template and what overrides it.

    def create_fleet(self):
        if self._get_param("Type", "maintain") != "instant":
            return super().create_fleet()
        self.error_on_dryrun()
        request = dict(self.params)
        wanted = int(request["TargetCapacitySpecification"]["TotalTargetCapacity"])
        kind = request["TargetCapacitySpecification"].get("DefaultTargetCapacityType", "on-demand")
        launched, errors = [], []
        for template, override in _choices(request):
            if len(launched) == wanted:
                break
            try:
                instances = self._launch_for_fleet(request, template, override, kind, wanted - len(launched))
            except EC2ClientError as error:
                errors.append(_fleet_error(template, override, kind, error))
                continue
            launched += [_fleet_instance(template, override, kind, instance) for instance in instances]
        self.params = request
        fleet_id = random_fleet_id()
        return ActionResult({"FleetId": fleet_id, "Errors": errors, "Instances": launched})

    def _launch_for_fleet(self, request, template, override, kind, count):
        self.params = {"LaunchTemplate": template, "MinCount": count, "MaxCount": count}
        for key in ("ImageId", "InstanceType", "SubnetId", "BlockDeviceMappings"):
            if override.get(key):
                self.params[key] = override[key]
        if override.get("SubnetId"):
            self._move_into_nic(template, override["SubnetId"])
        if override.get("AvailabilityZone"):
            self.params["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
        if kind == "spot":
            self.params["InstanceMarketOptions"] = {"MarketType": "spot"}
        own = self.ec2_backend._get_template_from_args(template).data.get("TagSpecifications", [])
        tags = [spec for spec in request.get("TagSpecifications", []) if spec["ResourceType"] != "fleet"]
        self.params["TagSpecifications"] = own + tags
        return self.run_instances().result.instances

    def _move_into_nic(self, template, subnet_id):
        """A template that describes a network interface takes an override's subnet there."""
        nics = self.ec2_backend._get_template_from_args(template).data.get("NetworkInterfaces")
        if nics:
            del self.params["SubnetId"]
            self.params["NetworkInterfaces"] = [{**nic, "SubnetId": subnet_id} for nic in nics]


def _choices(request):
    """(template, override), as many as the request gives to choose from."""
    for config in request.get("LaunchTemplateConfigs", []):
        for override in config.get("Overrides") or [{}]:
            yield config["LaunchTemplateSpecification"], override


def _fleet_error(template, override, kind, error):
    return {
        "LaunchTemplateAndOverrides": {"LaunchTemplateSpecification": template, "Overrides": override},
        "Lifecycle": kind,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }


def _fleet_instance(template, override, kind, instance):
    return {
        "LaunchTemplateAndOverrides": {"LaunchTemplateSpecification": template, "Overrides": override},
        "Lifecycle": kind,
        "InstanceIds": [instance.id],
        "InstanceType": instance.instance_type,
    }


def encrypted(password, key_pair):
    public_key = load_ssh_public_key(key_pair.public_key.encode())
    if not isinstance(public_key, RSAPublicKey):
        return ""  # EC2 has nothing to encrypt with either
    return base64.b64encode(public_key.encrypt(password.encode(), padding.PKCS1v15())).decode()
