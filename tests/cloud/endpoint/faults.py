"""What can be made to go wrong: rules that apply to calls, set and cleared over the control URL."""

import base64
import fnmatch
import itertools
import json
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field, fields

ACCOUNT = "123456789012"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/builder"

# kind: what EC2 answers. A fault may override each part.
KINDS = {
    "internal": {"status": 500, "code": "InternalError", "message": "An internal error has occurred"},
    "unavailable": {"status": 503, "code": "Unavailable", "message": "The server is overloaded"},
    "throttle": {"status": 503, "code": "RequestLimitExceeded", "message": "Request limit exceeded.", "times": 0},
    "capacity": {
        "status": 500,
        "code": "InsufficientInstanceCapacity",
        "message": "We currently do not have sufficient capacity in the Availability Zone you requested.",
        "times": 0,
    },
    "expired": {"status": 400, "code": "RequestExpired", "message": "Request has expired.", "times": 0},
    "unauthorized": {"status": 403, "code": "UnauthorizedOperation", "message": "", "times": 0},
    "cut": {"cut": True},
    "slow": {"times": 0},
    "error": {},
}


@dataclass
class Fault:
    """One rule. It hits calls number `nth` to `nth + times - 1` of those that match."""

    kind: str = "error"
    service: str = "*"
    action: str = "*"
    where: dict = field(default_factory=dict)  # parameter: pattern, both with wildcards
    nth: int = 1
    times: int = 1  # 0: without end
    seconds: float = 0.0  # 0: until cleared
    rate: float = 0.0  # calls a second that get through before it hits; 0: it hits every call
    status: int = 400
    code: str = "InternalError"
    message: str = "A fault that was asked for"
    cut: bool = False  # the connection is closed without an answer
    executed: bool = False  # the call is carried out, and only its answer is replaced
    delay: float = 0.0  # seconds before anything happens

    @classmethod
    def of(cls, given):
        """ValueError says what is wrong with a fault that came as JSON."""
        known = {it.name for it in fields(cls)}
        if unknown := set(given) - known:
            raise ValueError(f"no fault has {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
        kind = given.get("kind", "error")
        if kind not in KINDS:
            raise ValueError(f"no fault is called {kind}; there are: {', '.join(KINDS)}")
        return cls(**{**KINDS[kind], **given})


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._number = itertools.count(1)
        self._rules = {}

    def add(self, given):
        with self._lock:
            number = next(self._number)
            self._rules[number] = _Rule(Fault.of(given))
            return number

    def clear(self):
        with self._lock:
            self._rules.clear()

    def listed(self):
        with self._lock:
            return [
                {"id": number, **asdict(rule.fault), "calls": rule.calls, "hits": rule.hits}
                for number, rule in self._rules.items()
            ]

    def hit(self, service, action, parameters):
        """The faults that this call meets; each of them counts it."""
        with self._lock:
            return [rule.fault for rule in self._rules.values() if rule.hits_call(service, action, parameters)]


class _Rule:
    def __init__(self, fault):
        self.fault = fault
        self.since = time.monotonic()
        self.calls = self.hits = 0
        self._recent = deque()

    def hits_call(self, service, action, parameters):
        fault, now = self.fault, time.monotonic()
        if fault.seconds and now - self.since > fault.seconds:
            return False
        if not (fnmatch.fnmatchcase(service, fault.service) and fnmatch.fnmatchcase(action, fault.action)):
            return False
        if not all(_any_matches(parameters, name, pattern) for name, pattern in fault.where.items()):
            return False
        self.calls += 1
        if fault.rate and not self._too_many(now):
            return False
        if self.calls < fault.nth or (fault.times and self.hits >= fault.times):
            return False
        self.hits += 1
        return True

    def _too_many(self, now):
        """A second's worth of calls gets through, the others do not and are not counted as such."""
        while self._recent and now - self._recent[0] > 1:
            self._recent.popleft()
        if len(self._recent) >= self.fault.rate:
            return True
        self._recent.append(now)
        return False


def _any_matches(parameters, name, pattern):
    return any(
        fnmatch.fnmatchcase(key, name) and fnmatch.fnmatchcase(str(value), pattern)
        for key, value in parameters.items()
    )


def message_of(fault, service, action):
    """What the answer says; a missing permission comes with an encoded message, as from EC2."""
    if fault.code != "UnauthorizedOperation" or fault.message:
        return fault.message
    return (
        f"You are not authorized to perform this operation. User: {CALLER} is not authorized to perform: "
        f"{service}:{action} on resource: * because no identity-based policy allows the {service}:{action} action. "
        f"Encoded authorization failure message: {encode(service, action)}"
    )


def encode(service, action):
    told = {
        "allowed": False,
        "explicitDeny": False,
        "matchedStatements": {"items": []},
        "failures": {"items": []},
        "context": {
            "principal": {"id": "AIDAENDPOINTLOOPBACK", "name": "builder", "arn": CALLER},
            "action": f"{service}:{action}",
            "resource": "*",
            "conditions": {"items": []},
        },
    }
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def decode(encoded):
    """What sts:DecodeAuthorizationMessage answers; ValueError for what was no such message."""
    told = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    json.loads(told)
    return told
