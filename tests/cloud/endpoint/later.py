"""Actions that are due at a time, carried out by one thread in that order."""

import heapq
import itertools
import sys
import threading
import time
import traceback


class Later(threading.Thread):
    def __init__(self):
        super().__init__(name="later", daemon=True)
        self._due = []
        self._number = itertools.count()
        self._changed = threading.Condition()

    def __call__(self, seconds, action, *arguments):
        """Calls `action(*arguments)` once `seconds` have passed. It has to be quick: others wait behind it."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._number), action, arguments))
            self._changed.notify()

    def forget(self):
        with self._changed:
            self._due.clear()

    def run(self):
        while True:
            action, arguments = self._next()
            try:
                action(*arguments)
            except Exception:
                traceback.print_exc(file=sys.stderr)

    def _next(self):
        with self._changed:
            while True:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[2:]
                self._changed.wait(self._due[0][0] - now if self._due else None)
