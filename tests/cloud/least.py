"""The least time that an AMI of the tiny guest takes: the endpoint's own work and the guest's, with a client that
asks twenty times a second and does nothing else. What a build takes beyond that, its client adds.

Prints seconds. The environment says where the endpoint is; the argument is the AMI to start from.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

import boto3

PAUSE = 0.05
DEADLINE = 300
OPEN = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}]
SSH = ["ssh", "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]


def until(what, look):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(PAUSE)
    sys.exit(f"waited {DEADLINE} s for {what}")


def answers(address):
    """The words of sshd itself: a port that is forwarded accepts before the guest listens."""
    try:
        with socket.create_connection((address, 22), 0.5) as connection:
            connection.settimeout(0.5)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def bake(ec2, source, key):
    def instance():
        return ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]

    def state(wanted):
        return lambda: instance()["State"]["Name"] == wanted

    group = ec2.create_security_group(GroupName="least", Description="least")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=OPEN)
    with open(f"{key}.pub", "rb") as public:
        ec2.import_key_pair(KeyName="least", PublicKeyMaterial=public.read())
    options = {"InstanceType": "t3.micro", "KeyName": "least", "SecurityGroupIds": [group]}
    launched = ec2.run_instances(ImageId=source, MinCount=1, MaxCount=1, **options)
    name = launched["Instances"][0]["InstanceId"]
    until("the instance to run", state("running"))
    address = instance()["PublicIpAddress"]
    until("sshd", lambda: answers(address))
    # The key comes from the metadata service, a moment after sshd is there.
    command = [*SSH, "-i", key, f"tiny@{address}", "echo baked"]
    until("the key", lambda: subprocess.run(command, capture_output=True).returncode == 0)
    ec2.stop_instances(InstanceIds=[name])
    until("the instance to stop", state("stopped"))
    image = ec2.create_image(InstanceId=name, Name="least")["ImageId"]
    until("the image", lambda: ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
    ec2.terminate_instances(InstanceIds=[name])
    until("the instance to end", state("terminated"))
    ec2.delete_key_pair(KeyName="least")
    ec2.delete_security_group(GroupId=group)


def main():
    ec2 = boto3.client("ec2")
    ec2.describe_regions()  # its model is loaded by then
    with tempfile.TemporaryDirectory() as folder:
        key = os.path.join(folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        began = time.monotonic()
        bake(ec2, sys.argv[1], key)
        print(time.monotonic() - began)


main()
