"""The files behind volumes and snapshots: chains of qcow2 overlays.

A snapshot takes no copy: it gets the volume's file, which nobody writes to from then on, and the volume goes on
with an overlay of it.
"""

import itertools
import json
import os
import subprocess
import weakref

GIB = 1 << 30


class Disk:
    """A disk file, removed once neither a volume, a snapshot nor another disk refers to it."""

    def __init__(self, path, format="qcow2", backing=None, temporary=True):
        self.path = path
        self.format = format
        self.backing = backing
        if temporary:
            weakref.finalize(self, _unlink, path)


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the whole folder went before


class Disks:
    def __init__(self, folder):
        self._folder = folder
        self._number = itertools.count(1)

    def path(self, kind):
        return os.path.join(self._folder, f"{kind}-{next(self._number)}")

    def blank(self, gib):
        """An empty disk."""
        disk = Disk(self.path("blank"))
        _qemu_img("create", "-q", "-f", "qcow2", disk.path, str(gib * GIB))
        return disk

    def overlay(self, backing, gib):
        """A disk that begins as `backing` does, at least as large."""
        disk = Disk(self.path("overlay"), backing=backing)
        # -u: `backing` is not opened, for a guest may be writing to it at this moment.
        options = ["-u", "-b", backing.path, "-F", backing.format]
        _qemu_img("create", "-q", "-f", "qcow2", *options, disk.path, str(gib * GIB))
        return disk

    def raw(self, gib):
        """An empty sparse file."""
        disk = Disk(self.path("raw"), format="raw")
        with open(disk.path, "wb") as file:
            file.truncate(gib * GIB)
        return disk

    def given(self, path):
        """A disk that somebody else owns; it is only ever read."""
        return Disk(os.path.abspath(path), format=info(path)["format"], temporary=False)


def info(path, *options):
    return json.loads(_qemu_img("info", "-U", "--output=json", *options, path))


def gib(path, *options):
    """The size of the volume that holds this disk: EC2 knows whole GiB only."""
    return -(-info(path, *options)["virtual-size"] // GIB)


def convert(source, target, *options):
    """Copies a disk into another format; ValueError says what qemu-img had against it."""
    _qemu_img("convert", "-q", *options, source, target)


def _qemu_img(*arguments):
    done = subprocess.run(["qemu-img", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"qemu-img {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
