"""A local server with the endpoints of the Hugging Face hub that a download uses, and plain files beside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve files, and yield the address.

    Args:
        files: contents by path: `org/name/file` of a repository, or any other.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.begin()

        def do_GET(self) -> None:
            self.wfile.write(self.begin())

        def begin(self) -> bytes:
            """Send the headers, and return what stands behind them."""
            found = answer(urlsplit(self.path).path.strip("/"), files)
            self.send_response(404 if found is None else 200)
            content = b"" if found is None else found
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            return content

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(path: str, files: Mapping[str, bytes]) -> bytes | None:
    """Return what the hub answers: a file, what a repository holds, or which commit a revision is."""
    parts = path.split("/")
    if parts[2:3] == ["resolve"]:  # org/name/resolve/revision/file
        return files.get("/".join([*parts[:2], *parts[4:]]))
    if parts[:2] != ["api", "models"]:
        return files.get(path)
    repository, kind = "/".join(parts[2:4]), parts[4]
    held = {
        name.removeprefix(f"{repository}/"): content
        for name, content in files.items()
        if name.startswith(f"{repository}/")
    }
    if kind == "tree":
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in held.items()
        ]
        return json.dumps(entries).encode()
    return json.dumps(
        {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in held]}
    ).encode()
