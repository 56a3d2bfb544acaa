"""What the endpoint promises, asked with boto3 and awscli. tests/cloud/check runs it."""

import base64
import os
import signal
import unittest
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError, ConnectionClosedError
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from harness import ANYWHERE, TINY, Case, Endpoint, Guest, shared, until


def setUpModule():
    global endpoint
    endpoint = shared()


class Life(Case):
    def test_an_image_of_an_instance_is_launched_and_holds_what_was_written(self):
        key, access = self.access()
        first = endpoint.aws(
            *("ec2", "run-instances", "--image-id", self.tiny, "--instance-type", "t3.micro", "--key-name", "k"),
            *("--security-group-ids", *access["SecurityGroupIds"], "--metadata-options", "HttpTokens=required"),
            *("--user-data", "#!/bin/sh\necho told >>/root/told"),
            *("--block-device-mappings", "DeviceName=/dev/sdf,Ebs={VolumeSize=1,VolumeType=gp3}"),
            *("--tag-specifications", "ResourceType=instance,Tags=[{Key=role,Value=builder}]"),
        )["Instances"][0]
        self.assertEqual((first["State"]["Name"], first["Tags"]), ("pending", [{"Key": "role", "Value": "builder"}]))
        guest = self.until_answers(first["InstanceId"], key)
        mapped = self.instance(first["InstanceId"])["BlockDeviceMappings"]
        self.assertEqual([it["DeviceName"] for it in mapped], ["/dev/xvda", "/dev/sdf"])
        until("the user data to be run", lambda: guest.run("cat /root/told || true") == "told\n")
        without_token = guest.run("wget -qO- http://169.254.169.254/latest/meta-data/ || echo refused")
        self.assertEqual(without_token, "refused\n")
        self.assertEqual(guest.run("hostname").strip(), f"ip-{guest.address.replace('.', '-')}.ec2.internal")
        serial = guest.run("cat /sys/block/nvme1n1/device/serial").strip()
        self.assertEqual(serial, mapped[1]["Ebs"]["VolumeId"].replace("-", ""))
        self.plug_and_unplug(guest, first)
        live = self.ec2.create_image(InstanceId=first["InstanceId"], Name="live", NoReboot=True)["ImageId"]
        self.until_available(live)
        self.ec2.deregister_image(ImageId=live, DeleteAssociatedSnapshots=True)

        guest.run("echo baked >/root/baked; echo raw >/dev/nvme1n1; sync")
        endpoint.aws("ec2", "stop-instances", "--instance-ids", first["InstanceId"])
        stopped = self.until_state(first["InstanceId"], "stopped")
        self.assertNotIn("PublicIpAddress", stopped)
        console = self.ec2.get_console_output(InstanceId=first["InstanceId"])["Output"]
        self.assertIn("tiny: ready", console)
        tags = [{"ResourceType": kind, "Tags": [{"Key": "kind", "Value": kind}]} for kind in ("image", "snapshot")]
        image = self.ec2.create_image(InstanceId=first["InstanceId"], Name="baked", TagSpecifications=tags)["ImageId"]
        self.assertEqual(self.image(image)["State"], "pending")
        made = self.until_available(image)
        self.assertEqual(made["Tags"], [{"Key": "kind", "Value": "image"}])
        snapshots = [it["Ebs"]["SnapshotId"] for it in made["BlockDeviceMappings"]]
        for snapshot in self.ec2.describe_snapshots(SnapshotIds=snapshots)["Snapshots"]:
            self.assertEqual(snapshot["Tags"], [{"Key": "kind", "Value": "snapshot"}])
            self.assertEqual(snapshot["State"], "completed")

        # It starts again, and two others hold what it held: one is of the image, one of a volume's snapshot.
        endpoint.aws("ec2", "start-instances", "--instance-ids", first["InstanceId"])
        volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshots[0])["VolumeId"]
        snapshot = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        until("the snapshot", lambda: self.snapshot(snapshot)["State"] == "completed")
        surrogate = self.register("surrogate", snapshot)
        self.until_available(surrogate)
        others = [self.launch(it, **access) for it in (image, surrogate)]
        for other in (first["InstanceId"], *others):
            again = self.until_answers(other, key)
            self.assertEqual(again.run("cat /root/baked /root/told"), "baked\ntold\n")
        self.assertEqual(again.run("ls /dev/nvme1n1 2>/dev/null || true"), "")
        self.assertEqual(Guest(self.instance(others[0])["PublicIpAddress"], key).run("head -c 3 /dev/nvme1n1"), "raw")

        endpoint.aws("ec2", "terminate-instances", "--instance-ids", first["InstanceId"], *others)
        for instance in (first["InstanceId"], *others):
            self.until_state(instance, "terminated")
        left = endpoint.state()
        self.assertEqual(set(left), {"images", "snapshots", "volumes", "key_pairs", "security_groups"})
        self.assertEqual([it["id"] for it in left["volumes"]], [volume])
        self.assertEqual(len(left["snapshots"]), 3)
        self.ec2.delete_security_group(GroupId=access["SecurityGroupIds"][0])

    def snapshot(self, snapshot_id):
        return self.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]

    def plug_and_unplug(self, guest, instance):
        zone = instance["Placement"]["AvailabilityZone"]
        volume = self.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
        until("the volume", lambda: self.volume(volume)["State"] == "available")
        self.ec2.attach_volume(VolumeId=volume, InstanceId=instance["InstanceId"], Device="/dev/sdg")
        find = f"grep -l {volume.replace('-', '')} /sys/block/nvme*/device/serial || true"
        until("the guest to see the volume", lambda: guest.run(find))
        self.ec2.detach_volume(VolumeId=volume)
        until("the guest to lose the volume", lambda: not guest.run(find))
        self.ec2.delete_volume(VolumeId=volume)

    def volume(self, volume_id):
        return self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]

    def test_a_spot_instance_of_a_fleet_that_powers_itself_off_is_terminated(self):
        data = {
            "ImageId": self.tiny,
            "UserData": base64.b64encode(b"#!/bin/sh\npoweroff\n").decode(),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
        }
        template = self.ec2.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)
        endpoint.settings(no_capacity=["c5.large"])
        template_id = template["LaunchTemplate"]["LaunchTemplateId"]
        overrides = [{"InstanceType": "c5.large"}, {"InstanceType": "t3.small"}]
        specification = {"LaunchTemplateId": template_id, "Version": "1"}
        fleet = self.ec2.create_fleet(
            Type="instant",
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification, "Overrides": overrides}],
        )
        self.assertEqual([it["ErrorCode"] for it in fleet["Errors"]], ["InsufficientInstanceCapacity"])
        [instance_id] = fleet["Instances"][0]["InstanceIds"]
        instance = self.instance(instance_id)
        self.assertEqual((instance["InstanceType"], instance["InstanceLifecycle"]), ("t3.small", "spot"))
        ended = self.until_state(instance_id, "terminated")
        self.assertEqual(ended["StateReason"]["Code"], "Client.InstanceInitiatedShutdown")
        self.assertNotIn("volumes", endpoint.state())


class Images(Case):
    """No guest is needed for what images and snapshots remember."""

    def setUp(self):
        super().setUp()
        endpoint.settings(guest_hangs=True)
        self.root = self.image(self.tiny)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def test_what_a_registration_says_is_kept(self):
        self.assertEqual(self.image(self.tiny)["OwnerId"], "137112412989")
        image = self.register(
            "made", self.root, BootMode="uefi", TpmSupport="v2.0", ImdsSupport="v2.0", Description="d",
            TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
        )  # fmt: skip
        made = self.until_available(image)
        self.assertEqual(
            [made[key] for key in ("BootMode", "TpmSupport", "ImdsSupport", "Description", "EnaSupport")],
            ["uefi", "v2.0", "v2.0", "d", True],
        )
        old = self.ec2.register_image(
            Name="old", RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": self.root}}],
        )["ImageId"]  # fmt: skip
        self.assertEqual(self.until_available(old)["VirtualizationType"], "paravirtual")
        self.refused("InvalidParameterValue", self.launch, image=old)
        [found] = self.ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["ma*"]}])["Images"]
        self.assertEqual(found["ImageId"], image)

    def test_a_copy_has_its_own_snapshots_tags_and_encryption(self):
        there = endpoint.client("ec2", "eu-west-1")
        tags = [{"ResourceType": kind, "Tags": [{"Key": kind, "Value": "1"}]} for kind in ("image", "snapshot")]
        copied = there.copy_image(
            Name="copy", SourceImageId=self.tiny, SourceRegion="us-east-1", Encrypted=True,
            KmsKeyId="alias/mine", TagSpecifications=tags,
        )["ImageId"]  # fmt: skip
        made = self.until_available(copied, "eu-west-1")
        self.assertEqual(made["Tags"], [{"Key": "image", "Value": "1"}])
        [snapshot] = there.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        self.assertEqual(snapshot["SnapshotId"], made["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])
        self.assertEqual((snapshot["Encrypted"], snapshot["Tags"]), (True, [{"Key": "snapshot", "Value": "1"}]))
        self.assertEqual(snapshot["KmsKeyId"], "arn:aws:kms:eu-west-1:123456789012:alias/mine")
        everyone = {"Add": [{"Group": "all"}]}
        self.refused("InvalidParameter", there.modify_image_attribute, ImageId=copied, LaunchPermission=everyone)
        snapshot_id = snapshot["SnapshotId"]
        self.refused("InvalidSnapshot.InUse", there.delete_snapshot, SnapshotId=snapshot_id)
        there.deregister_image(ImageId=copied)
        there.delete_snapshot(SnapshotId=snapshot_id)
        self.refused("InvalidAMIID.NotFound", there.describe_images, ImageIds=[copied])
        self.assertEqual(endpoint.state(), {})

    def test_permissions_deprecation_and_protection(self):
        image = self.register("made", self.root)
        self.until_available(image)
        organization = "arn:aws:organizations::123456789012:organization/o-1"
        added = [{"UserId": "123412341234"}, {"OrganizationArn": organization}]
        self.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": added})
        kept = self.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
        self.assertEqual(kept, added)
        at = (datetime.now(UTC) + timedelta(days=30)).replace(second=0, microsecond=0)
        self.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=at)
        self.ec2.enable_image_deregistration_protection(ImageId=image)
        kept = self.image(image)
        self.assertEqual(kept["DeprecationTime"], at.strftime("%Y-%m-%dT%H:%M:00.000Z"))
        self.assertEqual(kept["DeregistrationProtection"], "enabled")
        self.refused("OperationNotPermitted", self.ec2.deregister_image, ImageId=image)
        self.ec2.disable_image_deregistration_protection(ImageId=image)
        self.ec2.deregister_image(ImageId=image)
        copied = self.ec2.copy_snapshot(SourceSnapshotId=self.root, SourceRegion="us-east-1")["SnapshotId"]
        permission = {"Add": [{"UserId": "123412341234"}]}
        self.ec2.modify_snapshot_attribute(SnapshotId=copied, CreateVolumePermission=permission)
        kept = self.ec2.describe_snapshot_attribute(SnapshotId=copied, Attribute="createVolumePermission")
        self.assertEqual(kept["CreateVolumePermissions"], [{"UserId": "123412341234"}])

    def test_a_password_is_encrypted_to_the_key_of_the_instance(self):
        key = self.ec2.create_key_pair(KeyName="k", KeyType="rsa")["KeyMaterial"]
        instance = self.launch(KeyName="k")
        data = until("the password", lambda: self.ec2.get_password_data(InstanceId=instance)["PasswordData"])
        private = load_pem_private_key(key.encode(), None)
        password = private.decrypt(base64.b64decode(data), padding.PKCS1v15()).decode()
        self.assertEqual(password, endpoint.state()["instances"][0]["password"])


class Refusals(Case):
    def test_a_launch_is_refused_as_ec2_does(self):
        endpoint.settings(guest_hangs=True)
        self.refused("DryRunOperation", self.launch, DryRun=True)
        self.refused("InvalidAMIID.NotFound", self.launch, image="ami-0123456789abcdef0")
        self.refused("InvalidAMIID.Malformed", self.launch, image="ami-nothing")
        said = self.refused("InvalidParameterValue", self.launch, InstanceType="t9.giant")
        self.assertEqual(said, "Invalid value 't9.giant' for InstanceType.")
        self.assertIn("architecture", self.refused("InvalidParameterValue", self.launch, InstanceType="t4g.micro"))
        self.refused("InvalidKeyPair.NotFound", self.launch, KeyName="nobody")
        self.refused("InvalidGroup.NotFound", self.launch, SecurityGroupIds=["sg-0123456789abcdef0"])
        self.refused("InvalidSubnetID.NotFound", self.launch, SubnetId="subnet-0123456789abcdef0")
        self.refused("InvalidParameterValue", self.launch, IamInstanceProfile={"Name": "nobody"})
        said = self.refused("InvalidParameterValue", self.launch, UserData="x" * 17000)
        self.assertEqual(said, "User data is limited to 16384 bytes")
        small = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]
        self.refused("InvalidBlockDeviceMapping", self.launch, BlockDeviceMappings=small)
        self.assertEqual(endpoint.state(), {})

    def test_names_of_images_are_checked(self):
        endpoint.settings(guest_hangs=True)
        instance = self.launch()
        self.refused("IncorrectInstanceState", self.ec2.create_image, InstanceId=instance, Name="early")
        self.until_state(instance, "running")
        self.ec2.create_image(InstanceId=instance, Name="once", NoReboot=True)
        said = self.refused("InvalidAMIName.Duplicate", self.ec2.create_image, InstanceId=instance, Name="once")
        self.assertIn("already in use by AMI ami-", said)
        self.refused("InvalidAMIName.Malformed", self.ec2.create_image, InstanceId=instance, Name="no: way")

    def test_a_port_is_open_only_where_a_rule_says_so(self):
        endpoint.settings(guest_hangs=True)
        self.until_state(self.launch(), "running")
        [instance] = endpoint.state()["instances"]
        self.assertEqual(instance["ports"], [])
        groups = self.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        self.ec2.authorize_security_group_ingress(GroupId=groups[0]["GroupId"], IpPermissions=ANYWHERE)
        [instance] = endpoint.state()["instances"]
        self.assertEqual(instance["ports"], [22])


class Faults(Case):
    def test_the_nth_call_fails_and_the_next_does_not(self):
        endpoint.fault(kind="internal", action="DescribeVpcs", nth=2)
        self.ec2.describe_vpcs()
        self.refused("InternalError", self.ec2.describe_vpcs)
        self.ec2.describe_vpcs()

    def test_a_cut_answer_is_made_up_for_by_the_client_token(self):
        endpoint.settings(guest_hangs=True)
        endpoint.fault(kind="cut", action="RunInstances", executed=True)
        with self.assertRaises(ConnectionClosedError):
            self.launch(ClientToken="t")
        instance = self.launch(ClientToken="t")
        self.assertEqual([it["id"] for it in endpoint.state()["instances"]], [instance])
        self.refused("IdempotentParameterMismatch", self.launch, ClientToken="t", InstanceType="t3.small")

    def test_throttling_and_what_it_spares(self):
        endpoint.fault(kind="throttle", action="Describe*", rate=2)
        self.ec2.describe_vpcs()
        self.ec2.describe_vpcs()
        self.refused("RequestLimitExceeded", self.ec2.describe_vpcs)
        self.ec2.create_key_pair(KeyName="spared")
        endpoint.control("DELETE", "faults")
        self.ec2.describe_vpcs()

    def test_a_missing_permission_is_explained_to_who_may_ask(self):
        endpoint.fault(kind="unauthorized", action="RunInstances")
        said = self.refused("UnauthorizedOperation", self.launch, DryRun=True)
        encoded = said.rpartition(" ")[2]
        told = endpoint.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
        self.assertIn('"action": "ec2:RunInstances"', told)

    def test_credentials_capacity_and_consistency(self):
        endpoint.fault(kind="expired", action="CreateKeyPair")
        self.refused("RequestExpired", self.ec2.create_key_pair, KeyName="k")
        endpoint.control("DELETE", "faults")
        endpoint.settings(no_capacity=["*"], consistency=1.0)
        self.refused("InsufficientInstanceCapacity", self.launch)
        group = self.ec2.create_security_group(GroupName="g", Description="new")["GroupId"]
        self.refused("InvalidGroup.NotFound", self.ec2.describe_security_groups, GroupIds=[group])
        found = lambda: self.ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": [group]}])
        until("the group to be known", lambda: self.known(found))

    def known(self, call):
        try:
            return call()["SecurityGroups"]
        except ClientError:
            return None

    def test_a_launch_and_an_image_can_fail(self):
        endpoint.settings(launch_fails="Client.VolumeLimitExceeded: Volume limit exceeded")
        ended = self.until_state(self.launch(), "terminated")
        self.assertEqual(ended["StateReason"]["Code"], "Client.VolumeLimitExceeded")
        endpoint.settings(launch_fails="", image_fails="Client.InvalidParameter: no", guest_hangs=True)
        instance = self.launch()
        self.until_state(instance, "running")
        image = self.ec2.create_image(InstanceId=instance, Name="fails", NoReboot=True)["ImageId"]
        until("the failure", lambda: self.image(image)["State"] == "failed")
        self.assertEqual(self.image(image)["StateReason"]["Code"], "Client.InvalidParameter")


class End(unittest.TestCase):
    def started(self):
        other = Endpoint("--image", f"tiny={TINY}", "--setting", "guest_hangs=true")
        self.addCleanup(other.end)
        other.client("ec2").run_instances(ImageId=other.images["tiny"], InstanceType="t3.micro", MinCount=1, MaxCount=1)
        guest = until("the guest", lambda: other.state()["instances"][0]["guest"])
        return other, guest, os.path.dirname(other.state()["instances"][0]["folder"])

    def gone(self, pid):
        until(f"process {pid} to end", lambda: not os.path.exists(f"/proc/{pid}"))

    def test_guests_and_files_go_with_the_endpoint(self):
        other, guest, folder = self.started()
        other.process.terminate()
        self.assertEqual(other.process.wait(120), 0)
        self.gone(guest)
        self.assertFalse(os.path.exists(folder))

    def test_guests_go_even_when_the_endpoint_is_killed(self):
        other, guest, folder = self.started()
        os.kill(other.ready["pid"], signal.SIGKILL)
        other.process.wait(120)
        self.gone(guest)
        self.assertTrue(os.path.exists(folder))
        self.assertEqual(Endpoint().end(), 0)
        self.assertFalse(os.path.exists(folder), "the next one tidies up")
