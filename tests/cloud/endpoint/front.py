"""The layer in front of moto: the control URL, faults, eventual consistency and client tokens."""

import hashlib
import json
import re
import threading
import time
from io import BytesIO
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .blocks import Blocks
from .cloud import cloud
from .faults import Faults, decode, message_of

SIGNED_FOR = re.compile(r"Credential=([^/]+)/\d+/([^/]*)/([^/]+)/aws4_request")
# Everything that is sent by query, to any service: EBS direct and S3 have paths.
QUERY = "application/x-www-form-urlencoded"
IDEMPOTENT = {
    "RunInstances", "CreateFleet", "CreateVolume", "CopyImage", "CreateLaunchTemplate", "ImportImage",
    "ImportSnapshot",
}  # fmt: skip

NEW_ID = re.compile(rb"\b(?:i|ami|snap|vol|sg|subnet|vpc|key|lt|eni|import-ami|import-snap|export-ami)-[0-9a-f]{8,17}\b")
NOT_FOUND = {
    "i": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "ami": ("InvalidAMIID.NotFound", "The image id '[{}]' does not exist"),
    "snap": ("InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."),
    "vol": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "sg": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "subnet": ("InvalidSubnetID.NotFound", "The subnet ID '{}' does not exist"),
    "vpc": ("InvalidVpcID.NotFound", "The vpc ID '{}' does not exist"),
    "key": ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist"),
    "lt": ("InvalidLaunchTemplateId.NotFound", "The specified launch template, with ID {}, does not exist."),
    "eni": ("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{}' does not exist"),
}
CREATES = re.compile(r"(Create|Register|Copy|Import|Allocate|Export)[A-Z]|RunInstances$|StartSnapshot$")


class Call:
    """A request, read as far as it says what is asked of which service."""

    def __init__(self, environ):
        match = SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
        self.key, self.region, self.service = match.groups() if match else ("", "us-east-1", "")
        self.body = None
        self.parameters = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if environ.get("CONTENT_TYPE", "").startswith(QUERY):
            self.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(self.body)
            self.parameters |= dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        self.action = self.parameters.get("Action") or target.rpartition(".")[2]
        path = environ.get("PATH_INFO", "")
        if not self.action:
            self.action = _rest_action(self.service, environ["REQUEST_METHOD"], path)
        if self.service == "ebs":
            self.parameters |= {str(number): part for number, part in enumerate(path.split("/"))}
        self.json = bool(target) or self.service == "ebs"


def _rest_action(service, method, path):
    """A name for calls that have none; those of EBS direct are the API's own."""
    if service != "ebs":
        return f"{method} {path}"
    parts = path.strip("/").split("/")
    if len(parts) == 1:
        return "StartSnapshot"
    if parts[1] == "completion":
        return "CompleteSnapshot"
    if parts[2] == "changedblocks":
        return "ListChangedBlocks"
    if len(parts) == 3:
        return "ListSnapshotBlocks"
    return "PutSnapshotBlock" if method == "PUT" else "GetSnapshotBlock"


class Cut(ConnectionError):
    """The connection is to be closed without an answer."""


class Front:
    """The WSGI application: ours where it has to be, else moto's."""

    def __init__(self, moto, control):
        self.faults = Faults()
        self._moto, self._control, self._blocks = moto, control, Blocks()
        self._lock = threading.Lock()
        self._born = {}  # id -> when it was first answered with
        self._answers = {}  # client token -> the parameters and the answer
        self.calls = {}

    def forget(self):
        self.faults.clear()
        self._born, self._answers, self.calls = {}, {}, {}

    def __call__(self, environ, start_response):
        if environ.get("PATH_INFO", "").startswith("/_cloud"):
            return self._control(self, environ, start_response)
        call = Call(environ)
        name = f"{call.service}:{call.action}"
        with self._lock:
            self.calls[name] = self.calls.get(name, 0) + 1
        faults = self.faults.hit(call.service, call.action, call.parameters)
        time.sleep(sum(fault.delay for fault in faults))
        fault = next((fault for fault in faults if fault.kind != "slow"), None)
        if fault and fault.executed:
            b"".join(self._answer(call, environ, lambda *_: None))
        if fault and fault.cut:
            raise Cut
        if fault:
            said = message_of(fault, call.service, call.action)
            return refusal(start_response, call, fault.status, fault.code, said)
        return self._answer(call, environ, start_response)

    def _answer(self, call, environ, start_response):
        if call.action == "DecodeAuthorizationMessage":
            return _decoded(start_response, call)
        if young := self._too_young(call):
            code, message = NOT_FOUND[young.rpartition("-")[0]]
            if call.service == "ebs":
                code = "ResourceNotFoundException"
            return refusal(start_response, call, 400, code, message.format(young))
        if call.service == "ebs":
            body = self._blocks(call, environ, start_response)
            self._remember(call, body[0])
            return body
        token = call.parameters.get("ClientToken") if call.action in IDEMPOTENT else None
        if token:
            return self._once(token, call, environ, start_response)
        return self._passed_on(call, environ, start_response)[1]

    def _once(self, token, call, environ, start_response):
        """A call that is repeated with its token gets the answer of the first, and does nothing."""
        asked = {key: value for key, value in call.parameters.items() if key != "ClientToken"}
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()
        with self._lock:
            known = self._answers.get((call.region, call.action, token))
        if known is None:
            (status, headers), body = self._passed_on(call, environ, start_response)
            if status.startswith("200"):
                with self._lock:
                    self._answers[call.region, call.action, token] = digest, status, headers, body
            return body
        known_digest, status, headers, body = known
        if known_digest != digest:
            message = "The client token was used before, with other parameters"
            return refusal(start_response, call, 400, "IdempotentParameterMismatch", message)
        start_response(status, headers)
        return body

    def _passed_on(self, call, environ, start_response):
        """The answer of moto: (status, headers), body."""
        said = []

        def hear(status, headers, error=None):
            said[:] = [status, headers]
            return start_response(status, headers)

        answer = self._moto(environ, hear)
        if call.service != "ec2":
            return said, answer
        body = [b"".join(answer)]
        self._remember(call, body[0])
        return said, body

    def _remember(self, call, body):
        """When the ids in the answer of a call that creates were first seen."""
        if not (cloud.settings.consistency and CREATES.match(call.action)):
            return
        now = time.monotonic()
        with self._lock:
            for name in NEW_ID.findall(body):
                if name.decode() not in call.parameters.values():
                    self._born.setdefault(name.decode(), now)

    def _too_young(self, call):
        """An id in this call that EC2 would not know everywhere yet."""
        if call.service not in ("ec2", "ebs") or not cloud.settings.consistency:
            return None
        youngest = time.monotonic() - cloud.settings.consistency
        with self._lock:
            young = (value for value in call.parameters.values() if self._born.get(value, youngest) > youngest)
            return next((value for value in young if value.rpartition("-")[0] in NOT_FOUND), None)


def refusal(start_response, call, status, code, message):
    """An error as the service that was called writes it."""
    headers = [("x-amzn-RequestId", "00000000-0000-0000-0000-000000000000")]
    if call.json:
        kind, headers = "application/x-amz-json-1.1", [*headers, ("x-amzn-ErrorType", code)]
        body = json.dumps({"__type": code, "message": message})
    else:
        kind, error = "text/xml", f"<Code>{code}</Code><Message>{escape(message)}</Message>"
        if call.service == "ec2":
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>0</RequestID></Response>"
        elif call.service in ("s3", ""):
            body = f"<Error>{error}<RequestId>0</RequestId></Error>"
        else:
            body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>0</RequestId></ErrorResponse>"
        body = '<?xml version="1.0" encoding="UTF-8"?>' + body
    body = body.encode()
    start_response(f"{status} Refused", [*headers, ("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _decoded(start_response, call):
    try:
        told = decode(call.parameters.get("EncodedMessage", ""))
    except ValueError:
        return refusal(start_response, call, 400, "InvalidAuthorizationMessageException", "The message is invalid.")
    body = (
        '<DecodeAuthorizationMessageResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<DecodeAuthorizationMessageResult><DecodedMessage>{escape(told)}</DecodedMessage>"
        "</DecodeAuthorizationMessageResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>"
        "</DecodeAuthorizationMessageResponse>"
    ).encode()
    start_response("200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))])
    return [body]
