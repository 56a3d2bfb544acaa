"""EBS direct, import and export: what goes in comes out, and what is wrong is refused."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile

from botocore.exceptions import ClientError
from harness import TINY, Case, shared, until

BLOCK = 524288
GIB = 1 << 30
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "vmie.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}},
    }
}


def setUpModule():
    global endpoint
    endpoint = shared()


def digest(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class EbsDirect(Case):
    def setUp(self):
        super().setUp()
        self.ebs = endpoint.client("ebs")

    def put(self, snapshot, index, data, **other):
        parts = {"DataLength": len(data), "Checksum": digest(data), "ChecksumAlgorithm": "SHA256", **other}
        return self.ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, **parts)

    def complete(self, snapshot, count, **other):
        self.ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count, **other)
        state = lambda: self.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]
        until(f"{snapshot} to be complete", lambda: state() != "pending")
        return state()

    def start(self, **parameters):
        return self.ebs.start_snapshot(**{"VolumeSize": 1, **parameters})["SnapshotId"]

    def listed(self, snapshot):
        return {it["BlockIndex"]: it["BlockToken"] for it in self.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]}

    def read(self, snapshot, index):
        token = self.listed(snapshot)[index]
        return self.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)["BlockData"].read()

    def test_blocks_come_back_and_a_child_holds_those_of_its_parent(self):
        blocks = {0: b"a" * BLOCK, 7: b"b" * BLOCK, 2047: os.urandom(BLOCK)}
        parent = self.start(Description="d", Tags=[{"Key": "a", "Value": "b"}])
        for index, data in blocks.items():
            self.put(parent, index, data)
        linear = base64.b64encode(hashlib.sha256(b"".join(hashlib.sha256(blocks[i]).digest() for i in blocks)).digest())
        checksum = {"ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR", "Checksum": linear.decode()}
        self.assertEqual(self.complete(parent, 3, **checksum), "completed")
        self.assertEqual(list(self.listed(parent)), [0, 7, 2047])
        self.assertEqual(self.read(parent, 2047), blocks[2047])
        child = self.start(ParentSnapshotId=parent)
        self.put(child, 7, b"c" * BLOCK)
        self.complete(child, 1)
        self.assertEqual([self.read(child, index)[:1] for index in (0, 7)], [b"a", b"c"])
        changed = self.ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
        self.assertEqual([it["BlockIndex"] for it in changed], [7])

    def test_what_is_wrong_is_refused(self):
        good = b"x" * BLOCK
        snapshot = self.start(ClientToken="t")
        self.assertEqual(self.start(ClientToken="t"), snapshot)
        self.refused("ConflictException", self.start, ClientToken="t", VolumeSize=2)
        self.refused("ValidationException", self.put, snapshot=snapshot, index=0, data=b"x" * 512)
        self.refused("ValidationException", self.put, snapshot=snapshot, index=0, data=good, Checksum=digest(b""))
        self.refused("ValidationException", self.put, snapshot=snapshot, index=2048, data=good)
        self.refused("ValidationException", self.ebs.list_snapshot_blocks, SnapshotId=snapshot)
        self.refused("ResourceNotFoundException", self.put, snapshot="snap-0123456789abcdef0", index=0, data=good)
        self.refused("ValidationException", self.start, VolumeSize=0)
        self.refused("ValidationException", self.start, Timeout=5)
        self.put(snapshot, 0, good)
        endpoint.settings(puts_per_second=1)
        self.refused("RequestThrottledException", self.put, snapshot=snapshot, index=1, data=good)
        self.assertEqual(self.complete(snapshot, 2), "error")
        self.refused("ValidationException", self.put, snapshot=snapshot, index=1, data=good)

    def test_a_fresh_snapshot_may_not_be_known_yet(self):
        endpoint.settings(consistency=1.0)
        snapshot = self.start()
        self.refused("ResourceNotFoundException", self.put, snapshot=snapshot, index=0, data=b"x" * BLOCK)
        until("the snapshot to be known", lambda: self.put_succeeds(snapshot))

    def put_succeeds(self, snapshot):
        try:
            return self.put(snapshot, 0, b"x" * BLOCK)
        except ClientError:
            return None

    def test_what_was_never_written_to_an_encrypted_snapshot_is_noise(self):
        for encrypted in (False, True):
            snapshot = self.start(Encrypted=encrypted)
            self.put(snapshot, 1, bytes(BLOCK))
            self.complete(snapshot, 1)
            volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)["VolumeId"]
            copied = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
            done = lambda: self.ec2.describe_snapshots(SnapshotIds=[copied])["Snapshots"][0]["State"] == "completed"
            until("the copy", done)
            self.assertEqual(any(self.read(copied, 0)) if 0 in self.listed(copied) else False, encrypted)
            self.assertFalse(any(self.read(copied, 1)))

    def test_an_uploaded_disk_boots(self):
        with tempfile.TemporaryDirectory() as folder:
            raw = os.path.join(folder, "raw")
            subprocess.run(["qemu-img", "convert", "-O", "raw", TINY, raw], check=True)
            snapshot, count = self.start(VolumeSize=2), 0
            with open(raw, "rb") as disk:
                for index in range(os.path.getsize(raw) // BLOCK):
                    data = disk.read(BLOCK)
                    if any(data):
                        self.put(snapshot, index, data)
                        count += 1
        self.assertEqual(self.complete(snapshot, count), "completed")
        self.boots(self.register("uploaded", snapshot))


class ImportAndExport(Case):
    def setUp(self):
        super().setUp()
        self.s3 = endpoint.client("s3")
        self.s3.create_bucket(Bucket="disks")
        endpoint.client("iam").create_role(RoleName="vmimport", AssumeRolePolicyDocument=json.dumps(TRUST))

    def upload(self, format, name, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "disk")
            subprocess.run(["qemu-img", "convert", "-O", format, *options, TINY, path], check=True)
            self.s3.upload_file(path, "disks", name)
        return {"S3Bucket": "disks", "S3Key": name}

    def done(self, describe, key, task, name="ImportTaskIds"):
        detail = lambda: describe(**{name: [task]})[key][0]
        flat = lambda: (it := detail()).get("SnapshotTaskDetail", it)
        until(f"{task} to end", lambda: flat()["Status"] != "active")
        return flat()

    def import_snapshot(self, format, where):
        container = {"Format": format, "UserBucket": where}
        task = self.ec2.import_snapshot(DiskContainer=container)["ImportTaskId"]
        return self.done(self.ec2.describe_import_snapshot_tasks, "ImportSnapshotTasks", task)

    def test_a_disk_goes_through_the_bucket_and_back(self):
        task = self.import_snapshot("VMDK", self.upload("vmdk", "tiny.vmdk", "-o", "subformat=streamOptimized"))
        self.assertEqual(task["Status"], "completed", task)
        image = self.register("imported", task["SnapshotId"])
        self.until_available(image)
        where = {"S3Bucket": "disks", "S3Prefix": "out/"}
        export = self.ec2.export_image(ImageId=image, DiskImageFormat="VMDK", S3ExportLocation=where)["ExportImageTaskId"]
        done = self.done(
            self.ec2.describe_export_image_tasks, "ExportImageTasks", export, "ExportImageTaskIds"
        )
        self.assertEqual(done["Status"], "completed", done)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vmdk")
            self.s3.download_file("disks", f"out/{export}.vmdk", path)
            compared = ["qemu-img", "compare", TINY, path]
            self.assertEqual(subprocess.run(compared, capture_output=True).returncode, 0)

    def test_an_imported_image_boots(self):
        container = {"Format": "VHDX", "UserBucket": self.upload("vhdx", "tiny.vhdx")}
        task = self.ec2.import_image(DiskContainers=[container], LicenseType="BYOL")["ImportTaskId"]
        done = self.done(self.ec2.describe_import_image_tasks, "ImportImageTasks", task)
        self.assertEqual((done["Status"], done["LicenseType"]), ("completed", "BYOL"), done)
        self.boots(done["ImageId"])

    def test_what_cannot_be_imported_is_explained(self):
        task = self.import_snapshot("VMDK", self.upload("vmdk", "sparse.vmdk"))
        self.assertEqual(task["Status"], "deleted")
        self.assertEqual(task["StatusMessage"], "ClientError: Disk validation failed [Unsupported VMDK File Format]")
        self.assertEqual(endpoint.state().get("snapshots"), None)
        task = self.import_snapshot("RAW", {"S3Bucket": "disks", "S3Key": "nothing"})
        self.assertIn("Invalid S3 source location", task["StatusMessage"])
        there = endpoint.client("ec2", "eu-west-1")
        container = {"Format": "RAW", "UserBucket": {"S3Bucket": "disks", "S3Key": "nothing"}}
        self.assertIn("not local", self.refused("InvalidParameter", there.import_snapshot, DiskContainer=container))
        endpoint.client("iam").delete_role(RoleName="vmimport")
        self.assertIn("vmimport", self.refused("InvalidParameter", self.ec2.import_snapshot, DiskContainer=container))

    def test_a_cancelled_task_leaves_nothing(self):
        endpoint.settings(task=0.5)
        container = {"Format": "VHDX", "UserBucket": self.upload("vhdx", "tiny.vhdx")}
        task = self.ec2.import_image(DiskContainers=[container])["ImportTaskId"]
        self.ec2.cancel_import_task(ImportTaskId=task)
        self.refused("IncorrectState", self.ec2.cancel_import_task, ImportTaskId=task)
        self.assertEqual(set(endpoint.state()), {"buckets", "objects", "roles"})
