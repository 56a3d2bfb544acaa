"""What every part of the endpoint shares. moto makes its backends by itself, so they find it here."""

import os
import random
import socket
import threading

from .disks import Disks
from .later import Later
from .metadata import MetadataService
from .settings import Settings

SSH = 22


class Cloud:
    def __init__(self):
        # Guards the states of instances: API calls, timers and guests all change them.
        self.lock = threading.RLock()
        self.settings = Settings()
        self.later = Later()
        self.running = True
        self._addresses = set()

    def open(self, folder, memory, cpus, port_offset):
        """To be called once, before anything else."""
        self.folder = folder
        self.memory, self.cpus, self.port_offset = memory, cpus, port_offset
        self.disks = Disks(folder)
        self.metadata = MetadataService(os.path.join(folder, "metadata.socket"), find_instance)
        self.later.start()

    def address(self):
        """A loopback address that nobody on this machine uses; OSError says why its SSH port cannot be had."""
        while True:
            address = f"127.{random.randint(2, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
            if address not in self._addresses:
                break
        with socket.socket() as probe:
            probe.bind((address, SSH + self.port_offset))
        self._addresses.add(address)
        return address


cloud = Cloud()


def ec2_backends():
    """The backends of every account and region that has been spoken to."""
    from moto.ec2.models import ec2_backends

    return [backend for _, _, backend in ec2_backends.iter_backends()]


def all_instances():
    return [instance for backend in ec2_backends() for instance in backend.all_instances()]


def find_instance(instance_id):
    return next((instance for instance in all_instances() if instance.id == instance_id), None)
