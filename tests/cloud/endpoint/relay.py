"""Started by QEMU for each connection to 169.254.169.254:80: connects it to the endpoint's metadata service.

    relay.py SOCKET INSTANCE_ID

The guest is on standard input and output.
"""

import os
import select
import socket
import sys


def main(path, instance_id):
    service = socket.socket(socket.AF_UNIX)
    service.connect(path)
    service.sendall(instance_id.encode() + b"\n")
    asking = True
    while True:
        ready, _, _ = select.select([service.fileno()] + [0] * asking, [], [])
        if service.fileno() in ready:
            data = service.recv(65536)
            if not data:
                return
            while data:
                data = data[os.write(1, data):]
        if 0 in ready:
            data = os.read(0, 65536)
            if data:
                service.sendall(data)
            else:
                asking = False
                service.shutdown(socket.SHUT_WR)


main(*sys.argv[1:])
