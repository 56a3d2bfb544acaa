"""The control URL: /_cloud/state, faults, settings, calls and reset."""

import json

from moto.moto_api._internal import moto_api_backend

from .cloud import all_instances, cloud
from .inventory import inventory
from .settings import Settings

GONE_SECONDS = 20


class Control:
    def __init__(self, register_images):
        self._register_images = register_images

    def __call__(self, front, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix("/_cloud")
        try:
            status, answer = self._answer(front, method, path, json.loads(body or "{}"))
        except ValueError as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        text = json.dumps(answer, indent=2, default=str).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    def _answer(self, front, method, path, given):
        match method, path:
            case "GET", "/state":
                return "200 OK", inventory()
            case "GET", "/faults":
                return "200 OK", front.faults.listed()
            case "POST", "/faults":
                faults = given if isinstance(given, list) else [given]
                return "200 OK", {"ids": [front.faults.add(fault) for fault in faults]}
            case "DELETE", "/faults":
                front.faults.clear()
                return "200 OK", {}
            case "GET", "/settings":
                return "200 OK", cloud.settings.as_dict()
            case "POST", "/settings":
                cloud.settings.update(given)
                return "200 OK", cloud.settings.as_dict()
            case "GET", "/calls":
                return "200 OK", front.calls
            case "POST", "/reset":
                self.reset(front)
                return "200 OK", {}
        return "404 Not Found", {"error": f"there is no {method} /_cloud{path}"}

    def reset(self, front):
        """As after the start: no guests, no resources but the images of the command line, no faults."""
        cloud.later.forget()  # an instance that is about to boot
        end_guests()
        cloud.later.forget()  # what became of those that ended
        cloud.settings = Settings()
        front.forget()
        moto_api_backend.reset()
        self._register_images()


def end_guests():
    """Kills every guest and waits until they are gone."""
    guests = [instance.guest for instance in all_instances() if instance.guest]
    for guest in guests:
        guest.kill()
    for guest in guests:
        guest.join(GONE_SECONDS)
