"""One running guest: a QEMU process and its monitor."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field

OVMF = "/usr/share/OVMF"
RELAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
MONITOR_DEADLINE = 20  # seconds; a monitor answers in milliseconds on an idle machine


class GuestError(Exception):
    """What QEMU said instead of doing what it was told."""


@dataclass
class Spec:
    """What a guest is made of."""

    instance_id: str
    instance_type: str
    folder: str
    address: str
    mac: str
    uefi: bool
    metadata_socket: str
    disks: list  # (volume id, Disk), the root first
    ports: set = field(default_factory=set)
    port_offset: int = 0
    memory: int = 512
    cpus: int = 2
    traits: str = ""
    hangs: bool = False

    @property
    def console(self):
        return os.path.join(self.folder, "console.log")


class Guest(threading.Thread):
    """Lives as long as its process: the thread that forks is the one whose death would kill QEMU."""

    def __init__(self, spec, on_up, on_end):
        super().__init__(name=spec.instance_id, daemon=True)
        self.spec = spec
        self.was_up = False
        self._on_up, self._on_end = on_up, on_end
        self._process = None
        self._answers, self._events = {}, []
        self._changed = threading.Condition()
        self._nodes = {}  # volume id -> name of the block node that its device sits on
        self._killed = False
        self._number = 0

    # The thread.

    def run(self):
        os.makedirs(self.spec.folder, exist_ok=True)
        with open(os.path.join(self.spec.folder, "qemu.log"), "ab") as log:
            self._process = subprocess.Popen(
                self._arguments(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        if self._killed:
            self._process.kill()
        for line in self._process.stdout:
            self._received(json.loads(line))
        self._process.wait()
        with self._changed:
            for answer in self._answers.values():
                answer.set_exception(GuestError("the guest ended"))
            self._answers.clear()
            self._changed.notify_all()
        self._on_end(self)

    def _received(self, message):
        if "QMP" in message:
            self._send("qmp_capabilities", {}, Future())
            self.was_up = True
            self._on_up(self)
        elif "id" in message:
            with self._changed:
                answer = self._answers.pop(message["id"], None)
            if answer is None:
                pass
            elif "error" in message:
                answer.set_exception(GuestError(message["error"]["desc"]))
            else:
                answer.set_result(message["return"])
        elif "event" in message:
            with self._changed:
                self._events.append(message)
                self._changed.notify_all()

    # What others ask of it.

    @property
    def pid(self):
        return self._process.pid if self._process else None

    def power_button(self):
        """The button may be pressed while the guest does not look yet, so it is worth pressing again."""
        self._tell("system_powerdown")

    def reset(self):
        self._tell("system_reset")

    def kill(self):
        self._killed = True
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def log(self):
        try:
            with open(os.path.join(self.spec.folder, "qemu.log"), errors="replace") as file:
                return file.read()[-2000:].strip()
        except FileNotFoundError:
            return ""

    def open_port(self, port):
        self._forward(f"hostfwd_add net {self._rule(port)}-:{port}")

    def close_port(self, port):
        self._forward(f"hostfwd_remove net {self._rule(port)}")

    def attach(self, volume_id, disk):
        node = self._node(volume_id)
        self._command("blockdev-add", **_blockdev(node, disk))
        self._command("device_add", **_nvme(volume_id, node))

    def detach(self, volume_id):
        """Asks the guest to let go of a volume, and waits until it has."""
        self._command("device_del", id=volume_id)
        gone = lambda: any(
            event["event"] == "DEVICE_DELETED" and event["data"].get("device") == volume_id for event in self._events
        )
        with self._changed:
            if not self._changed.wait_for(gone, MONITOR_DEADLINE):
                raise GuestError(f"the guest did not let go of {volume_id}")
            self._events.clear()
        self._command("blockdev-del", **{"node-name": self._nodes.pop(volume_id)})

    def freeze(self, volume_id, overlay):
        """From now on the volume is written to this empty overlay of what it was written to."""
        old, new = self._nodes[volume_id], self._node(volume_id)
        self._command("blockdev-add", **_blockdev(new, overlay), backing=None)
        self._command("blockdev-snapshot", node=old, overlay=new)

    # How.

    def _node(self, volume_id):
        self._number += 1
        self._nodes[volume_id] = f"node{self._number}"
        return self._nodes[volume_id]

    def _rule(self, port):
        return f"tcp:{self.spec.address}:{port + self.spec.port_offset}"

    def _forward(self, line):
        said = self._command("human-monitor-command", **{"command-line": line})
        if said.strip() and "removed" not in said:
            print(f"{self.spec.instance_id}: {line}: {said.strip()}", file=sys.stderr)

    def _tell(self, execute):
        """For a guest that may be gone already, which is as good."""
        try:
            self._send(execute, {}, Future())
        except GuestError:
            pass

    def _command(self, execute, **arguments):
        answer = Future()
        self._send(execute, arguments, answer)
        try:
            return answer.result(MONITOR_DEADLINE)
        except TimeoutError:
            raise GuestError(f"QEMU did not answer {execute}") from None

    def _send(self, execute, arguments, answer):
        with self._changed:
            number = str(uuid.uuid4())
            self._answers[number] = answer
            line = json.dumps({"execute": execute, "arguments": arguments, "id": number}) + "\n"
            try:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()
            except (OSError, ValueError, AttributeError):
                del self._answers[number]
                raise GuestError("the guest is not running") from None

    def _arguments(self):
        spec = self.spec
        system_uuid = "ec2" + str(uuid.uuid4())[3:]
        # cloud-init believes that it is on EC2 when the serial number equals the UUID.
        serial = f"{system_uuid} {spec.traits}".strip()
        forwards = "".join(f",hostfwd={self._rule(port)}-:{port}" for port in sorted(spec.ports))
        relay = f"{sys.executable} -I -S {RELAY} {spec.metadata_socket} {spec.instance_id}".replace(",", ",,")
        arguments = [
            *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-machine", "pc", "-m", str(spec.memory), "-smp", str(spec.cpus), "-name", spec.instance_id),
            *("-chardev", "stdio,id=monitor,signal=off", "-mon", "chardev=monitor,mode=control"),
            *("-chardev", f"file,id=console,append=on,path={spec.console}", "-serial", "chardev:console"),
            *("-smbios", f"type=1,manufacturer=Amazon EC2,product={spec.instance_type},uuid={system_uuid},serial={serial}"),
            *("-smbios", f"type=2,manufacturer=Amazon EC2,asset={spec.instance_id}"),
            *("-device", "virtio-rng-pci"),
            # The address of the metadata service has to lie in the guest's own network.
            "-netdev",
            f"user,id=net,net=169.254.0.0/16{forwards},guestfwd=tcp:169.254.169.254:80-cmd:{relay}",
            *("-device", f"virtio-net-pci,netdev=net,mac={spec.mac}"),
        ]
        if spec.hangs:
            arguments.append("-S")
        if spec.uefi:
            variables = os.path.join(spec.folder, "uefi.vars")
            if not os.path.exists(variables):
                shutil.copy(f"{OVMF}/OVMF_VARS_4M.fd", variables)
            arguments += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd"]
            arguments += ["-drive", f"if=pflash,format=raw,file={variables}"]
        for index, (volume_id, disk) in enumerate(spec.disks):
            node = self._node(volume_id)
            arguments += ["-blockdev", json.dumps(_blockdev(node, disk))]
            arguments += ["-device", json.dumps({**_nvme(volume_id, node), "bootindex": index})]
        return arguments


def _blockdev(node, disk):
    file = {"driver": "file", "filename": disk.path}
    return {"driver": disk.format, "node-name": node, "discard": "unmap", "file": file}


def _nvme(volume_id, node):
    """As on EC2: the serial number of the disk is the volume's id without its dash."""
    return {"driver": "nvme", "id": volume_id, "drive": node, "serial": volume_id.replace("-", "")}
