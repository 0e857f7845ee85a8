"""The existing stores, and one of a user's own; a Redis server of the tests'."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import unikeras as uk


class UsersStore(uk.memory.Store):
    """What a user has to write: five methods."""

    def __init__(self):
        self.rows, self.counter, self.lock = {}, 0, threading.Lock()

    def read(self, sessions):
        return {one: self.rows[one] for one in sessions if one in self.rows}

    def write(self, rows):
        with self.lock:
            new = {}
            for one, (expected, blob) in rows.items():
                if (self.rows[one].version if one in self.rows else 0) == expected:
                    self.counter += 1
                    self.rows[one] = uk.memory.Row(self.counter, blob, time.time())
                    new[one] = self.counter
            return new

    def delete(self, sessions):
        with self.lock:
            for one in sessions:
                self.rows.pop(one, None)

    def ids(self):
        return iter(list(self.rows))

    def expire(self, before):
        old = [one for one, row in list(self.rows.items()) if row.updated < before]
        self.delete(old)
        return len(old)


class RedisServer:
    """A server on a socket in a folder of its own, with nothing in it."""

    def __init__(self):
        pytest.importorskip("redis", reason="the redis library is not installed")
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no redis-server on PATH: apt-get install redis-server")
        # A short path: a socket's name has room for a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="redis"))
        self.url = f"unix://{self.folder}/socket"
        options = [
            "--port",
            "0",
            "--unixsocket",
            f"{self.folder}/socket",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        self.process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._listens():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(f"{self.folder}/socket") == 0  # the file is there before anybody listens

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
