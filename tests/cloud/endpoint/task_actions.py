"""The actions of VM Import/Export, which moto does not have."""

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError

from . import tasks


class TaskBackend:
    """Mixed into moto's backend, before its classes."""

    def __init__(self, *arguments, **options):
        self.tasks = {}
        super().__init__(*arguments, **options)

    def task(self, task_id):
        if task_id not in self.tasks:
            raise EC2ClientError("InvalidConversionTaskId.Malformed", f"The task {task_id} does not exist.")
        return self.tasks[task_id]


class TaskActions:
    """Mixed into moto's responses, before its classes."""

    def import_snapshot(self):
        container = self._get_param("DiskContainer", {})
        _check_format(container.get("Format"), tasks.SNAPSHOT_FORMATS)
        self._check_source(container)
        task = self._begin(tasks.ImportSnapshot, "import-snap", "import-snapshot-task")
        return ActionResult(_import_snapshot(task))

    def describe_import_snapshot_tasks(self):
        return self._described(tasks.ImportSnapshot, "ImportTaskIds", "ImportSnapshotTasks", _import_snapshot)

    def import_image(self):
        containers = self._get_param("DiskContainers", [])
        if not containers:
            raise EC2ClientError("MissingParameter", "The request must contain the parameter DiskContainer")
        for container in containers:
            if not container.get("SnapshotId"):
                _check_format(container.get("Format", "OVA"), tasks.IMAGE_FORMATS)
                self._check_source(container)
        task = self._begin(tasks.ImportImage, "import-ami", "import-image-task")
        return ActionResult(_import_image(task))

    def describe_import_image_tasks(self):
        return self._described(tasks.ImportImage, "ImportTaskIds", "ImportImageTasks", _import_image)

    def export_image(self):
        image = self.ec2_backend.image(self._get_param("ImageId"))
        _check_format(self._get_param("DiskImageFormat"), tasks.EXPORT_FORMATS)
        tasks.bucket(self.ec2_backend, self._get_param("S3ExportLocation", {}).get("S3Bucket"))
        if len(image.snapshot_ids) != 1:
            raise EC2ClientError("InvalidParameter", "Images with more than one volume cannot be exported.")
        if any(self.ec2_backend.get_snapshot(snapshot).encrypted for snapshot in image.snapshot_ids):
            raise EC2ClientError("InvalidParameter", "Images with encrypted snapshots cannot be exported.")
        task = self._begin(tasks.ExportImage, "export-ami", "export-image-task")
        return ActionResult(_export_image(task))

    def describe_export_image_tasks(self):
        return self._described(tasks.ExportImage, "ExportImageTaskIds", "ExportImageTasks", _export_image)

    def cancel_import_task(self):
        self.error_on_dryrun()
        before, after = self.ec2_backend.task(self._get_param("ImportTaskId")).cancel()
        return ActionResult({"ImportTaskId": self._get_param("ImportTaskId"), "PreviousState": before, "State": after})

    def cancel_export_task(self):
        self.ec2_backend.task(self._get_param("ExportTaskId")).cancel()
        return EmptyResult()

    def _check_source(self, container):
        if container.get("Url"):
            raise EC2ClientError("Unsupported", "This endpoint reads disks from UserBucket only.")
        where = container.get("UserBucket") or {}
        if not where.get("S3Bucket") or not where.get("S3Key"):
            raise EC2ClientError("MissingParameter", "The request must contain the parameter UserBucket")
        tasks.bucket(self.ec2_backend, where["S3Bucket"])

    def _begin(self, kind, prefix, tagged):
        tasks.check_role(self.ec2_backend, self._get_param("RoleName"))
        self.error_on_dryrun()
        tags = self._parse_tag_specification(tagged).get(tagged, {})
        task = kind(self.ec2_backend, prefix, tags, **self.params)
        task.start()
        return task

    def _described(self, kind, parameter, key, describe):
        wanted = self._get_param(parameter, [])
        found = [self.ec2_backend.task(task_id) for task_id in wanted] or list(self.ec2_backend.tasks.values())
        return ActionResult({key: [describe(task) for task in found if isinstance(task, kind)]})


def _check_format(format, known):
    if (format or "").upper() not in known:
        raise EC2ClientError("InvalidParameter", f"Invalid disk image format {format}: one of {', '.join(known)}")


def _status(task):
    return {"Status": task.status, "StatusMessage": task.message, "Progress": task.progress, "Tags": task.tags}


def _import_snapshot(task):
    container = task.facts["DiskContainer"]
    detail = {
        **_status(task),
        "Description": container.get("Description"),
        "DiskImageSize": getattr(task, "size", None),
        "Encrypted": task.facts.get("Encrypted"),
        "Format": container["Format"].upper(),
        "SnapshotId": getattr(task, "snapshot_id", None),
        "UserBucket": container["UserBucket"],
    }
    facts = {"ImportTaskId": task.id, "Description": task.facts.get("Description"), "Tags": task.tags}
    return {**facts, "SnapshotTaskDetail": detail}


def _import_image(task):
    kept = ("Architecture", "BootMode", "Description", "Encrypted", "LicenseType", "Platform", "UsageOperation")
    details = [
        {
            "SnapshotId": snapshot.id, "Format": format.upper(), "DiskImageSize": size, "UserBucket": where,
            "Status": "completed", "DeviceName": device,
        }
        for snapshot, format, size, where, device in getattr(task, "details", [])
    ]  # fmt: skip
    return {
        **{name: task.facts[name] for name in kept if name in task.facts},
        **_status(task),
        "ImportTaskId": task.id,
        "ImageId": getattr(task, "image_id", None),
        "SnapshotDetails": details,
    }


def _export_image(task):
    kept = ("Description", "DiskImageFormat", "ImageId", "RoleName", "S3ExportLocation")
    facts = {name: task.facts[name] for name in kept if name in task.facts}
    return {**facts, **_status(task), "ExportImageTaskId": task.id}
