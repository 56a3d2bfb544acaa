"""EBS direct, strictly: sizes, checksums, states, order, tokens and quotas. Without moto, for it has to be fast."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from collections import deque
from datetime import UTC
from urllib.parse import parse_qs

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from .cloud import cloud
from .contents import BLOCK, Contents
from .disks import GIB

SECRET = secrets.token_bytes(16)
PATH = re.compile(r"/snapshots(?:/(completion)/([^/]+)|/([^/]+)/(changedblocks|blocks)(?:/(\d+))?)?/?")
TOKEN_SECONDS = 7 * 24 * 3600
STATUS = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 402,
}


class BlockError(Exception):
    def __init__(self, kind, reason, message):
        super().__init__(message)
        self.kind, self.reason, self.message = kind, reason, message


def invalid(reason, message):
    return BlockError("ValidationException", reason, message)


class Upload:
    """What StartSnapshot begins and CompleteSnapshot ends."""

    def __init__(self, timeout):
        self.timeout = timeout * 60
        self.last = time.monotonic()
        self.recent = deque()
        self.lock = threading.Lock()

    def count(self):
        """Throttles puts beyond the quota of a snapshot, and notes that somebody is at work."""
        now, quota = time.monotonic(), cloud.settings.puts_per_second
        with self.lock:
            self.last = now
            while self.recent and now - self.recent[0] > 1:
                self.recent.popleft()
            if quota and len(self.recent) >= quota:
                raise BlockError("RequestThrottledException", "RESOURCE_LEVEL_THROTTLE", "Too many puts a second.")
            self.recent.append(now)


class Request:
    def __init__(self, call, environ):
        self.call, self.environ = call, environ
        self.backend = ec2_backends[DEFAULT_ACCOUNT_ID][call.region]
        match = PATH.fullmatch(environ["PATH_INFO"])
        if not match:
            raise invalid("INVALID_PARAMETER_VALUE", f"There is no {environ['PATH_INFO']}.")
        _, completed, snapshot_id, _, index = match.groups()
        self.snapshot_id = completed or snapshot_id
        self.index = None if index is None else int(index)
        self.query = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}

    def body(self):
        return self.environ["wsgi.input"].read(int(self.environ.get("CONTENT_LENGTH") or 0))

    def header(self, name):
        return self.environ.get(f"HTTP_X_AMZ_{name}")

    def snapshot(self, snapshot_id=None):
        snapshot_id = snapshot_id or self.snapshot_id
        if not re.fullmatch(r"snap-[0-9a-f]+", snapshot_id):
            raise invalid("INVALID_SNAPSHOT_ID", f"{snapshot_id} is no id of a snapshot.")
        if snapshot_id not in self.backend.snapshots:
            raise BlockError(
                "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", f"The snapshot '{snapshot_id}' does not exist."
            )
        return self.backend.snapshots[snapshot_id]

    def completed(self, snapshot_id=None):
        """A snapshot that can be read, with its contents."""
        snapshot = self.snapshot(snapshot_id)
        if snapshot.status != "completed":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot.id}' is {snapshot.status}, not completed.")
        with snapshot.lock:
            if snapshot.contents is None:
                snapshot.contents = Contents.of_disk(snapshot.disk, snapshot.volume_size)
        return snapshot

    def uploading(self):
        """A snapshot that can be written."""
        snapshot = self.snapshot()
        if snapshot.upload is None or snapshot.status != "pending":
            raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot.id}' takes no blocks: it is {snapshot.status}.")
        if time.monotonic() - snapshot.upload.last > snapshot.upload.timeout:
            snapshot.complete("Client.Timeout: no block was written for too long")
            raise invalid("WRITE_REQUEST_TIMEOUT", f"The snapshot '{snapshot.id}' has timed out.")
        return snapshot


class Blocks:
    """Answers with (status, headers, body); errors are BlockError."""

    def __init__(self):
        self._started = {}  # client token -> (what was asked, the answer)

    def __call__(self, call, environ, start_response):
        try:
            status, headers, body = getattr(self, _method(call.action))(Request(call, environ))
        except BlockError as error:
            status, headers = STATUS.get(error.kind, 400), [("x-amzn-ErrorType", error.kind)]
            body = {"__type": error.kind, "Message": error.message, "Reason": error.reason}
        if isinstance(body, dict):
            body, kind = json.dumps(body).encode(), "application/json"
        else:
            kind = "application/octet-stream"
        lengths = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status} EBS", [*headers, *lengths])
        return [body]

    def start_snapshot(self, request):
        asked = json.loads(request.body() or "{}")
        if (token := asked.get("ClientToken")) and (known := self._started.get((request.call.region, token))):
            if known[0] != asked:
                raise BlockError("ConflictException", None, "The client token was used with other parameters.")
            return 201, [], known[1]
        answer = _started(request.backend, asked)
        if token:
            self._started[request.call.region, token] = asked, answer
        return 201, [], answer

    def put_snapshot_block(self, request):
        data = request.body()
        snapshot = request.uploading()
        length, sent = request.header("DATA_LENGTH"), request.header("CHECKSUM")
        if str(len(data)) != length or len(data) != BLOCK:
            raise invalid("INVALID_BLOCK", f"A block has {BLOCK} bytes; the data has {len(data)}, its header says {length}.")
        if request.header("CHECKSUM_ALGORITHM") != "SHA256" or not sent:
            raise invalid("INVALID_PARAMETER_VALUE", "x-amz-Checksum with x-amz-Checksum-Algorithm SHA256 is required.")
        if not 0 <= request.index < snapshot.volume_size * GIB // BLOCK:
            raise invalid("INVALID_BLOCK", f"Block {request.index} is beyond the end of the volume.")
        digest = hashlib.sha256(data).digest()
        if base64.b64encode(digest).decode() != sent:
            raise invalid("INVALID_BLOCK", "The checksum does not match the data.")
        snapshot.upload.count()
        snapshot.contents.write(request.index, data, digest)
        return 201, [("x-amz-Checksum", sent), ("x-amz-Checksum-Algorithm", "SHA256")], {}

    def complete_snapshot(self, request):
        snapshot = request.uploading()
        contents, count = snapshot.contents, request.header("CHANGEDBLOCKSCOUNT")
        checksum = request.header("CHECKSUM")
        if not (count or "").isdigit():
            raise invalid("INVALID_PARAMETER_VALUE", "x-amz-ChangedBlocksCount is required.")
        if checksum and request.header("CHECKSUM_AGGREGATION_METHOD") != "LINEAR":
            raise invalid("INVALID_PARAMETER_VALUE", "A checksum needs the aggregation method LINEAR.")
        failure = None
        if int(count) != len(contents.put):
            failure = f"Client.InvalidBlocks: {len(contents.put)} blocks were written, not {count}"
        elif checksum and checksum != base64.b64encode(contents.linear_digest()).decode():
            failure = "Client.InvalidChecksum: the checksum does not match the blocks that were written"
        snapshot.upload = None
        cloud.later(cloud.settings.snapshot, _complete, snapshot, failure)
        return 202, [], {"Status": "pending"}

    def list_snapshot_blocks(self, request):
        snapshot = request.completed()
        token = lambda index: {"BlockIndex": index, "BlockToken": _token(snapshot.id, index)}
        return _page(request, snapshot, "Blocks", sorted(snapshot.contents.written), token)

    def list_changed_blocks(self, request):
        second = request.completed()
        if not request.query.get("firstSnapshotId"):
            token = lambda index: {"BlockIndex": index, "SecondBlockToken": _token(second.id, index)}
            return _page(request, second, "ChangedBlocks", sorted(second.contents.written), token)
        first = request.completed(request.query["firstSnapshotId"])
        if not _related(first, second):
            raise invalid("UNRELATED_SNAPSHOTS", f"{first.id} and {second.id} do not come from the same volume.")
        changed = [index for index in sorted(first.contents.written | second.contents.written) if _differs(first, second, index)]

        def tokens(index):
            sides = (("FirstBlockToken", first), ("SecondBlockToken", second))
            found = {key: _token(side.id, index) for key, side in sides if index in side.contents.written}
            return {"BlockIndex": index, **found}

        return _page(request, second, "ChangedBlocks", changed, tokens)

    def get_snapshot_block(self, request):
        snapshot = request.completed()
        if request.query.get("blockToken") != _token(snapshot.id, request.index):
            raise invalid("INVALID_BLOCK_TOKEN", "The block token does not belong to this block.")
        data = snapshot.contents.read(request.index)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = [("x-amz-Data-Length", str(len(data))), ("x-amz-Checksum", checksum)]
        return 200, [*headers, ("x-amz-Checksum-Algorithm", "SHA256")], data


def _method(action):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def _started(backend, asked):
    gib, timeout = asked.get("VolumeSize"), asked.get("Timeout", 60)
    if not isinstance(gib, int) or not 1 <= gib <= 65536:
        raise invalid("INVALID_VOLUME_SIZE", f"VolumeSize has to be 1 to 65536 GiB, not {gib}.")
    if not 10 <= timeout <= 4320:
        raise invalid("INVALID_PARAMETER_VALUE", f"Timeout has to be 10 to 4320 minutes, not {timeout}.")
    parent = _parent(backend, asked)
    if parent and gib < parent.volume_size:
        raise invalid("INVALID_VOLUME_SIZE", f"The parent snapshot is of {parent.volume_size} GiB.")
    pending = sum(1 for it in list(backend.snapshots.values()) if it.upload)
    if cloud.settings.pending_snapshots and pending >= cloud.settings.pending_snapshots:
        raise BlockError("ConcurrentLimitExceededException", None, "Too many pending snapshots.")
    encrypted, key = bool(asked.get("Encrypted")), asked.get("KmsKeyArn")
    if key and not encrypted:
        raise invalid("INVALID_PARAMETER_VALUE", "KmsKeyArn needs Encrypted.")
    if parent:
        encrypted, key = parent.encrypted, parent.kms_key_id
    elif encrypted and not key:
        key = backend._create_default_encryption_key()
    snapshot = backend.new_snapshot(gib, asked.get("Description"), None, encrypted, key)
    snapshot.parent = parent
    snapshot.contents = parent.contents.child(gib) if parent else Contents.empty(gib)
    snapshot.upload = Upload(timeout)
    snapshot.add_tags({tag["Key"]: tag["Value"] for tag in asked.get("Tags") or []})
    answer = {
        "SnapshotId": snapshot.id,
        "OwnerId": snapshot.owner_id,
        "Status": "pending",
        "StartTime": snapshot.start_time.replace(tzinfo=UTC).timestamp(),
        "VolumeSize": gib,
        "BlockSize": BLOCK,
        "Tags": asked.get("Tags"),
        "Description": asked.get("Description"),
        "ParentSnapshotId": asked.get("ParentSnapshotId"),
        "KmsKeyArn": key,
        "SseType": "sse-kms" if encrypted else "none",
    }
    return {name: value for name, value in answer.items() if value is not None}


def _parent(backend, asked):
    parent_id = asked.get("ParentSnapshotId")
    if not parent_id:
        return None
    if "Encrypted" in asked:
        raise invalid("INVALID_PARAMETER_VALUE", "Encrypted is taken from the parent snapshot.")
    parent = backend.snapshots.get(parent_id)
    if parent is None or parent.status != "completed":
        raise invalid("INVALID_SNAPSHOT_ID", f"The parent snapshot '{parent_id}' is no completed snapshot.")
    with parent.lock:
        if parent.contents is None:
            parent.contents = Contents.of_disk(parent.disk, parent.volume_size)
    return parent


def _complete(snapshot, failure):
    if snapshot.encrypted and not failure:
        snapshot.contents.add_noise(snapshot.volume_size)
    snapshot.disk = snapshot.contents.disk
    snapshot.complete(failure)


def _related(first, second):
    """Snapshots of one volume, or a snapshot and one that was begun from it."""
    if first.volume_id == second.volume_id and first.volume in first.ec2_backend.volumes.values():
        return True
    return bool(_line(first) & _line(second))


def _line(snapshot):
    line = set()
    while snapshot:
        line.add(snapshot.id)
        snapshot = snapshot.parent
    return line


def _differs(first, second, index):
    if (index in first.contents.written) != (index in second.contents.written):
        return True
    return first.contents.read(index) != second.contents.read(index)


def _token(snapshot_id, index):
    return base64.b64encode(hashlib.sha256(SECRET + f"{snapshot_id}/{index}".encode()).digest()).decode()


def _page(request, snapshot, key, indexes, listed):
    most = int(request.query.get("maxResults", 10000))
    if not 100 <= most <= 10000:
        raise invalid("INVALID_PARAMETER_VALUE", f"MaxResults has to be 100 to 10000, not {most}.")
    start = request.query.get("pageToken") or request.query.get("startingBlockIndex") or "0"
    if not start.isdigit():
        raise invalid("INVALID_PAGE_TOKEN", "The page token is invalid.")
    page = [index for index in indexes if index >= int(start)]
    answer = {
        key: [listed(index) for index in page[:most]],
        "ExpiryTime": time.time() + TOKEN_SECONDS,
        "VolumeSize": snapshot.volume_size,
        "BlockSize": BLOCK,
    }
    return 200, [], answer | ({"NextToken": str(page[most])} if len(page) > most else {})
