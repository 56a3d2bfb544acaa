"""Starts the endpoint for a test, and speaks to it and to its guests."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

TINY = os.environ["BAKEHOUSE_TINY"]
ANYWHERE = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.1/32"}]}]
HERE = os.path.dirname(os.path.abspath(__file__))
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAENDPOINTLOOPBACK",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Endpoint:
    def __init__(self, *options):
        command = [os.path.join(HERE, "start"), "--stdin", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())
        self.url, self.images = self.ready["url"], self.ready["images"]

    def client(self, service, region="us-east-1", attempts=1):
        retries = {"mode": "standard", "total_max_attempts": attempts}
        # What is wrong is to be refused by the endpoint.
        config = Config(retries=retries, s3={"addressing_style": "path"}, parameter_validation=False)
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        keys = {name: CREDENTIALS[variable] for name, variable in names.items()}
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=config, **keys)

    def aws(self, *arguments):
        """The output of awscli."""
        aws = os.path.join(os.path.dirname(sys.executable), "aws")
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
        done = subprocess.run([aws, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"aws {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def control(self, method, path, given=None):
        data = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(f"{self.url}/_cloud/{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def fault(self, **fault):
        return self.control("POST", "faults", fault)

    def settings(self, **settings):
        return self.control("POST", "settings", settings)

    def state(self):
        return self.control("GET", "state")

    def end(self):
        """Its exit status, once it has ended because its standard input was closed."""
        with self.process:
            self.process.stdin.close()
            return self.process.wait(120)


_shared = None


def shared():
    """The endpoint of all tests, which ends with them."""
    global _shared
    if _shared is None:
        _shared = Endpoint("--image", f"tiny={TINY}", "--memory", "256")
        atexit.register(_shared.end)
    return _shared


def until(what, wanted, seconds=300, step=0.2):
    """Asks until the answer is not empty, and gives it back."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := wanted():
            return answer
        time.sleep(step)
    raise AssertionError(f"waited {seconds} s for {what}")


class Guest:
    """A running guest and the key that opens it."""

    def __init__(self, address, key, user="root"):
        self.address = address
        self._command = [
            *("ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            f"{user}@{address}",
        ]

    def run(self, script):
        done = subprocess.run([*self._command, script], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{script!r} on {self.address}: {done.returncode}: {done.stderr}"
        return done.stdout

    def answers(self):
        command = [*self._command, "true"]
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def key_file(material):
    with tempfile.NamedTemporaryFile("w", prefix="bakehouse-key.", delete=False) as file:
        file.write(material)
    os.chmod(file.name, 0o600)
    return file.name


class Case(unittest.TestCase):
    """A test that begins and ends with nothing but the images of the command line."""

    def setUp(self):
        self.endpoint = shared()
        self.ec2 = self.endpoint.client("ec2")
        self.tiny = self.endpoint.images["tiny"]
        self.addCleanup(self.endpoint.control, "POST", "reset")

    def refused(self, code, call, **parameters):
        with self.assertRaises(ClientError) as caught:
            call(**parameters)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]

    def launch(self, image=None, **parameters):
        parameters = {"InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, **parameters}
        return self.ec2.run_instances(ImageId=image or self.tiny, **parameters)["Instances"][0]["InstanceId"]

    def instance(self, instance_id):
        return self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]

    def image(self, image_id, region="us-east-1"):
        return self.endpoint.client("ec2", region).describe_images(ImageIds=[image_id])["Images"][0]

    def until_state(self, instance_id, state):
        return until(f"{instance_id} to be {state}", lambda: self.in_state(instance_id, state))

    def in_state(self, instance_id, state):
        instance = self.instance(instance_id)
        return instance if instance["State"]["Name"] == state else None

    def until_available(self, image_id, region="us-east-1"):
        until(f"{image_id} to be available", lambda: self.image(image_id, region)["State"] == "available")
        return self.image(image_id, region)

    def access(self):
        """A key pair and a group that lets the caller in: (key file, key name, group id)."""
        key = self.ec2.create_key_pair(KeyName="k", KeyType="ed25519")
        group = self.ec2.create_security_group(GroupName="g", Description="ssh")["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ANYWHERE)
        path = key_file(key["KeyMaterial"])
        self.addCleanup(os.unlink, path)
        return path, {"KeyName": "k", "SecurityGroupIds": [group]}

    def until_answers(self, instance_id, key):
        guest = Guest(self.until_state(instance_id, "running")["PublicIpAddress"], key)
        until(f"{instance_id} to answer", guest.answers)
        return guest

    def register(self, name, snapshot, **options):
        options = {"Architecture": "x86_64", "VirtualizationType": "hvm", "EnaSupport": True, **options}
        mappings = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}]
        options |= {"RootDeviceName": "/dev/xvda", "BlockDeviceMappings": mappings}
        return self.ec2.register_image(Name=name, **options)["ImageId"]

    def boots(self, image):
        """An instance of the image answers."""
        self.until_available(image)
        key, access = self.access()
        self.until_answers(self.launch(image, **access), key)
