"""The blocks of a snapshot as EBS direct sees them: which were ever written, and what they hold."""

import hashlib
import json
import os
import subprocess
import threading

from .cloud import cloud
from .disks import GIB, convert

BLOCK = 524288
NOISE = 4096  # bytes at the start of a block that show that it was never written


class Contents:
    """A raw, sparse file and the indexes of the blocks that were written to it."""

    def __init__(self, disk, written):
        self.disk = disk
        self.written = written
        self.put = {}  # index -> digest, of the blocks of this snapshot and not of its parent
        self._lock = threading.Lock()
        self._file = os.open(disk.path, os.O_RDWR)

    def __del__(self):
        os.close(self._file)

    @classmethod
    def empty(cls, gib):
        return cls(cloud.disks.raw(gib), set())

    @classmethod
    def of_disk(cls, disk, gib):
        """A copy of a disk, whose chain of overlays says which parts of it were written."""
        raw = cloud.disks.raw(gib)
        convert(disk.path, raw.path, "-n", "-f", disk.format, "-O", "raw")
        mapped = subprocess.run(
            ["qemu-img", "map", "-U", "--output=json", "-f", disk.format, disk.path], capture_output=True, check=True
        )
        written = set()
        for extent in json.loads(mapped.stdout):
            if extent["present"] and extent["length"]:
                written.update(range(extent["start"] // BLOCK, (extent["start"] + extent["length"] - 1) // BLOCK + 1))
        return cls(raw, written)

    def child(self, gib):
        raw = cloud.disks.raw(gib)
        convert(self.disk.path, raw.path, "-n", "-f", "raw", "-O", "raw")
        return Contents(raw, set(self.written))

    def write(self, index, data, digest):
        os.pwrite(self._file, data, index * BLOCK)
        with self._lock:
            self.put[index] = digest
            self.written.add(index)

    def read(self, index):
        return os.pread(self._file, BLOCK, index * BLOCK)

    def linear_digest(self):
        """SHA-256 over the digests of the blocks that were put, in the order of their indexes."""
        return hashlib.sha256(b"".join(self.put[index] for index in sorted(self.put))).digest()

    def add_noise(self, gib):
        """What nobody wrote to an encrypted snapshot decrypts to anything, but not to zeros."""
        for index in range(gib * GIB // BLOCK):
            if index not in self.written:
                os.pwrite(self._file, os.urandom(NOISE), index * BLOCK)
