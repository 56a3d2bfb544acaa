"""An instance: moto's record of it, and the guest that it is."""

import base64
import copy
import ipaddress
import os
import secrets
from datetime import UTC, datetime

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import instances as moto

from .cloud import cloud
from .guest import Guest, GuestError, Spec

PENDING, RUNNING, SHUTTING_DOWN = ("pending", 0), ("running", 16), ("shutting-down", 32)
TERMINATED, STOPPING, STOPPED = ("terminated", 48), ("stopping", 64), ("stopped", 80)

# What a rule for a wide range of ports opens: a guest cannot forward all of them.
USUAL_PORTS = {22, 80, 443, 3389, 5985, 5986, 8080}
# Connections to a guest come from here.
CALLER = ipaddress.ip_address("127.0.0.1")
BUTTON_SECONDS = 3


class Instance(moto.Instance):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.guest = None
        self.first_boot = True
        self.reservation_id = None
        self.image = self.ec2_backend.image(self.image_id)
        self.ena_support = self.image.ena_support
        self.boot_mode = self.image.boot_mode
        self.password = secrets.token_urlsafe(12)
        self._on_restart = None
        self._move(PENDING)
        self._reason = ""
        self._take_address()

    def prep_nics(self, *arguments, **options):
        """A network interface that is made with the instance goes with it."""
        known = set(self.ec2_backend.enis)
        super().prep_nics(*arguments, **options)
        for nic in self.nics.values():
            if nic.id not in known:
                nic.delete_on_termination = True

    def _take_address(self):
        self.address = cloud.address()
        nic = self.nics[0]
        self.is_public = nic.public_ip is not None
        nic.private_ip_address = self.address
        nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": self.address}]
        self._publish(self.is_public)

    def _publish(self, public):
        nic = self.nics[0]
        nic.public_ip_auto_assign = False  # else moto would draw addresses of its own
        nic.public_ip = self.address if public else None

    @property
    def host_name(self):
        """What the guest is told that it is called."""
        return f"ip-{self.address.replace('.', '-')}.ec2.internal"

    # Names for clients: nobody would resolve EC2's, so the address stands for itself.

    @property
    def private_dns_name(self):
        return self.address

    @property
    def public_dns_name(self):
        return self.nics[0].public_ip

    # The verbs of EC2, called by moto's backend. Each answers with the state before.

    def launch(self):
        cloud.later(cloud.settings.launch, self._boot)

    def start(self):
        with cloud.lock:
            previous = copy.copy(self._state)
            if self.state in ("running", "pending"):
                return previous
            if self.state != "stopped":
                raise self._wrong_state("started")
            self._move(PENDING)
            self._publish(self.is_public)
            cloud.later(cloud.settings.launch, self._boot)
            return previous

    def stop(self, force=False):
        with cloud.lock:
            previous = copy.copy(self._state)
            if self.state in ("stopped", "stopping"):
                return previous
            if self.state != "running":
                raise self._wrong_state("stopped")
            if self.lifecycle == "spot":
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{self.id}' because it is associated with a one-time Spot "
                    "Instance request. You can only stop Spot Instances associated with persistent Spot Instance "
                    "requests.",
                )
            self._because("Client.UserInitiatedShutdown: User initiated shutdown")
            self._move(STOPPING)
            self._power_off(force)
            return previous

    def terminate(self):
        with cloud.lock:
            previous = copy.copy(self._state)
            if self.state in ("shutting-down", "terminated"):
                return previous
            self._because("Client.UserInitiatedShutdown: User initiated shutdown")
            self._move(SHUTTING_DOWN)
            if self.guest:
                self.guest.kill()
            else:
                cloud.later(cloud.settings.terminate, self._terminated)
            return previous

    def reboot(self):
        with cloud.lock:
            if self.state != "running":
                raise self._wrong_state("rebooted")
            self.restart(lambda: None)

    def restart(self, between):
        """Powers the guest off, calls `between`, and boots it again; the instance stays running meanwhile."""
        self._on_restart = between
        self._power_off(force=False)

    def cut_power(self):
        with cloud.lock:
            if self.guest:
                self.guest.kill()

    # The guest.

    def _boot(self):
        with cloud.lock:
            if not cloud.running or self.state not in ("pending", "running"):
                return
            if self.first_boot and cloud.settings.launch_fails:
                return self._fail(cloud.settings.launch_fails)
            self.guest = Guest(self._spec(), self._up, self._gone)
            self.guest.start()

    def _spec(self):
        return Spec(
            instance_id=self.id,
            instance_type=self.instance_type,
            folder=os.path.join(cloud.folder, self.id),
            address=self.address,
            mac=self.nics[0].mac_address,
            uefi=self.image.boot_mode in ("uefi", "uefi-preferred"),
            metadata_socket=cloud.metadata.path,
            disks=[(volume.id, volume.disk) for _, volume in self.volumes()],
            ports=self.reachable_ports(),
            port_offset=cloud.port_offset,
            memory=cloud.memory,
            cpus=cloud.cpus,
            traits=cloud.settings.guest_traits,
            hangs=cloud.settings.guest_hangs,
        )

    def volumes(self):
        """(device name, volume), the root first."""
        mapped = sorted(self.block_device_mapping.items(), key=lambda it: (it[0] != self.root_device_name, it[0]))
        return [(name, self.ec2_backend.volumes[device.volume_id]) for name, device in mapped]

    def _up(self, guest):
        with cloud.lock:
            self.first_boot = False
            if self.state == "pending":
                self._move(RUNNING)

    def _gone(self, guest):
        with cloud.lock:
            if guest is not self.guest:
                return
            self.guest = None
            if self.state == "shutting-down":
                cloud.later(cloud.settings.terminate, self._terminated)
            elif self.state == "stopping":
                cloud.later(cloud.settings.stop, self._stopped)
            elif not guest.was_up:
                self._fail(f"Server.InternalError: QEMU did not start: {guest.log()}")
            elif self._on_restart:
                between, self._on_restart = self._on_restart, None
                between()
                self._boot()
            else:
                self._powered_itself_off()

    def _powered_itself_off(self):
        self._because("Client.InstanceInitiatedShutdown: Instance initiated shutdown")
        if self.instance_initiated_shutdown_behavior == "terminate":
            self._move(SHUTTING_DOWN)
            cloud.later(cloud.settings.terminate, self._terminated)
        else:
            self._move(STOPPING)
            cloud.later(cloud.settings.stop, self._stopped)

    def _power_off(self, force):
        guest = self.guest
        if guest is None:
            cloud.later(0, self._stopped)
        elif force:
            guest.kill()
        else:
            self._press_button(guest)
            cloud.later(cloud.settings.stop_deadline, guest.kill)

    def _press_button(self, guest):
        with cloud.lock:
            if self.guest is guest and guest.is_alive():
                guest.power_button()
                cloud.later(BUTTON_SECONDS, self._press_button, guest)

    def _stopped(self):
        with cloud.lock:
            if self.state == "stopping":
                self._move(STOPPED)
                self._publish(False)

    def _terminated(self):
        with cloud.lock:
            if self.state == "shutting-down":
                reason, state_reason = self._reason, self.state_reason
                super().terminate()
                self._reason, self.state_reason = reason, state_reason

    def _fail(self, reason):
        """EC2 ends an instance that cannot be launched, and stops again one that cannot be started."""
        self._because(reason)
        if self.first_boot:
            self._move(SHUTTING_DOWN)
            cloud.later(0, self._terminated)
        else:
            self._move(STOPPING)
            cloud.later(0, self._stopped)

    # Words.

    def _move(self, state):
        self._state.name, self._state.code = state
        if state == RUNNING:
            self._reason, self.state_reason = "", moto.StateReason()

    def _because(self, reason):
        code = reason.partition(":")[0]
        self.state_reason = moto.StateReason(reason, code)
        self._reason = f"{reason.partition(': ')[2]} ({datetime.now(UTC):%Y-%m-%d %H:%M:%S GMT})"

    def _wrong_state(self, participle):
        return EC2ClientError(
            "IncorrectInstanceState",
            f"The instance '{self.id}' is not in a state from which it can be {participle}.",
        )

    # What the guest's surroundings ask.

    def set_network_support(self, ena, sriov):
        """Images of this instance say so from now on; the image that it came from does not."""
        self.image = copy.copy(self.image)
        if ena is not None:
            self.ena_support = self.image.ena_support = ena
        if sriov:
            self.sriov_net_support = self.image.sriov_net_support = sriov

    def reachable_ports(self):
        ports = set()
        for group in {*self.security_groups, *self.nics[0].group_set}:
            for rule in group.ingress_rules:
                ports |= _opened(rule)
        return ports

    def follow_rules(self):
        """Opens and closes ports of the running guest as the rules of its groups now say."""
        with cloud.lock:
            guest = self.guest
            if guest is None or not guest.was_up:
                return
            wanted = self.reachable_ports()
            for port in wanted - guest.spec.ports:
                guest.open_port(port)
            for port in guest.spec.ports - wanted:
                guest.close_port(port)
            guest.spec.ports = wanted

    def console(self):
        """The newest 64 KiB of the serial line, as EC2 keeps them."""
        try:
            with open(os.path.join(cloud.folder, self.id, "console.log"), "rb") as file:
                return base64.b64encode(file.read()[-65536:]).decode()
        except FileNotFoundError:
            return ""

    def plug(self, volume):
        with cloud.lock:
            if self.guest:
                self._or_refuse(self.guest.attach, volume.id, volume.disk)

    def switch(self, volume):
        """The running guest goes on with the volume's new overlay."""
        self._or_refuse(self.guest.freeze, volume.id, volume.disk)

    def unplug(self, volume):
        guest = self.guest
        if guest:
            self._or_refuse(guest.detach, volume.id)

    @staticmethod
    def _or_refuse(action, *arguments):
        try:
            action(*arguments)
        except GuestError as error:
            raise EC2ClientError("IncorrectState", str(error)) from None


def _opened(rule):
    """The TCP ports that a rule opens for connections from this machine."""
    if rule.ip_protocol not in ("tcp", "-1"):
        return set()
    cidr = rule.cidr_ipv4
    if not cidr or CALLER not in ipaddress.ip_network(cidr, strict=False):
        return set()
    if rule.ip_protocol == "-1" or rule.from_port in (None, -1):
        return USUAL_PORTS
    asked = range(rule.from_port, rule.to_port + 1)
    return set(asked) if len(asked) <= 16 else USUAL_PORTS & set(asked)
