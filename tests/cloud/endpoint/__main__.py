"""Starts the endpoint and prints one line of JSON when it is ready; README.md tells the rest."""

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading

from werkzeug.serving import make_server

from .install import install

install()

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

from .cloud import SSH, cloud
from .control import Control, end_guests
from .front import Front


class RequestHandler(MotoRequestHandler):
    def connection_dropped(self, error, environ=None):
        self.close_connection = True

    def log_request(self, code="-", size="-"):
        pass


def arguments():
    parser = argparse.ArgumentParser(prog="tests/cloud/start", description=__doc__)
    parser.add_argument("--image", action="append", default=[], metavar="NAME=DISK", help="a disk to offer as an AMI")
    parser.add_argument("--region", default="us-east-1", help="where the AMIs are")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="of the endpoint; 0 takes a free one")
    parser.add_argument("--memory", type=int, default=512, metavar="MIB", help="of each guest")
    parser.add_argument("--cpus", type=int, default=2, help="of each guest")
    parser.add_argument("--port-offset", type=int, default=0, metavar="N", help="port 22 of a guest becomes 22 + N")
    parser.add_argument("--stdin", action="store_true", help="end when standard input is closed")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="as in /_cloud/settings")
    return parser.parse_args()


def main():
    options = arguments()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    folder = tempfile.mkdtemp(prefix="bakehouse-cloud.")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        serve(options, folder, ended)
    finally:
        cloud.running = False
        end_guests()
        shutil.rmtree(folder, ignore_errors=True)


def serve(options, folder, ended):
    cloud.open(folder, options.memory, options.cpus, options.port_offset)
    probe_ports(options.port_offset)
    for setting in options.setting:
        name, _, value = setting.partition("=")
        cloud.settings.update({name: json.loads(value)})
    images = Images(options)
    control = Control(images.register)
    front = Front(DomainDispatcherApplication(create_backend_app), control)
    server = make_server(options.host, options.port, front, threaded=True, request_handler=RequestHandler)
    server.daemon_threads = True
    images.register()
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    ready = {"url": f"http://{options.host}:{server.port}", "images": images.ids, "pid": os.getpid(), "region": options.region}
    print(json.dumps(ready), flush=True)
    if options.stdin:
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    ended.wait()


class Images:
    """The disks of the command line; they keep their ids when everything else is forgotten."""

    def __init__(self, options):
        self.ids = {}
        self._region = options.region
        self._disks = {}
        for image in options.image:
            name, _, path = image.partition("=")
            if not os.path.isfile(path):
                sys.exit(f"cloud: --image {image}: there is no file {path!r}")
            self._disks[name] = cloud.disks.given(path)

    def register(self):
        backend = ec2_backends[DEFAULT_ACCOUNT_ID][self._region]
        for name, disk in self._disks.items():
            self.ids[name] = backend.register_disk(name, disk, self.ids.get(name)).id


def probe_ports(offset):
    try:
        cloud.address()
    except OSError as error:
        sys.exit(
            f"cloud: port {SSH + offset} of a loopback address cannot be had ({error.strerror}), so no guest could "
            "answer there. Be root, or `sysctl net.ipv4.ip_unprivileged_port_start=22`; a server that listens on all "
            "addresses has to go, or give --port-offset 10000 and connect to port 10022."
        )


if __name__ == "__main__":
    main()
