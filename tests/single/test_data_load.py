"""Data sets by name: those of a library, and downloads from a server on this machine."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

import unikeras as uk
from unikeras.data import _downloads, _named_data
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

X = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
Y = np.array([7, 1], np.uint8)


def _npz():
    file = io.BytesIO()
    np.savez(file, x_train=X, y_train=Y, x_test=X[:1], y_test=Y[:1])
    return {"mnist.npz": file.getvalue()}


def _idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.tobytes())


def _gz():
    return {
        "train-images-idx3-ubyte.gz": _idx(X),
        "train-labels-idx1-ubyte.gz": _idx(Y),
        "t10k-images-idx3-ubyte.gz": _idx(X[:1]),
        "t10k-labels-idx1-ubyte.gz": _idx(Y[:1]),
    }


def _cifar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
            data = bytes([3]) + bytes(range(256)) * 12
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return {"cifar-10-binary.tar.gz": file.getvalue()}


FILES = {"mnist": _npz(), "fashion_mnist": _gz(), "cifar10": _cifar()}


@pytest.fixture
def small(monkeypatch):
    """Let the data sets be those of FILES."""
    for name, files in FILES.items():
        data = _named_data.DATA[name]
        remote = tuple(
            replace(file, size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for file, content in zip(data.files, files.values(), strict=True)
        )
        monkeypatch.setitem(_named_data.DATA, name, replace(data, files=remote))


@contextlib.contextmanager
def _server(answer):
    """Serve on loopback; yield the address and the list of what was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self, {k: v for files in FILES.values() for k, v in files.items()}[self.path.lstrip("/")])

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def _send(handler, content, length=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.mark.parametrize("name", FILES)
def test_a_data_set_is_downloaded_once(small, tmp_path, name):
    with _server(_send) as (address, asked):
        for _ in range(2):
            train, test = uk.data.load(name, folder=tmp_path, mirror=f"{address}/")
    assert len(asked) == len(FILES[name])
    x, y = train[0]
    if name == "cifar10":
        assert (len(train), len(test), x.shape, int(y)) == (5, 1, (32, 32, 3), 3)
        assert x[0, 1].tolist() == [1, 1, 1]  # 1024 bytes a channel, and 256 values
    else:
        assert (len(train), len(test), int(y)) == (2, 1, 7)
        np.testing.assert_array_equal(x[..., 0], X[0])
    assert (x.dtype, np.asarray(y).dtype, len(train.classes)) == (np.uint8, np.int32, 10)


def test_a_damaged_file_is_downloaded_again(small, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"x" * len(FILES["mnist"]["mnist.npz"]))
    with _server(_send) as (address, asked):
        uk.data.load("mnist", folder=tmp_path, mirror=address)
    assert len(asked) == 1


BAD = {
    "truncated": (
        lambda handler, content: _send(handler, content[:-9], len(content)),
        "ended after|IncompleteRead",
    ),
    "short": (lambda handler, content: _send(handler, content[:-9]), "ended after .* bytes; try again"),
    "longer": (lambda handler, content: _send(handler, content + b"x"), "more than the"),
    "other": (
        lambda handler, content: _send(handler, content[:-1] + b"?"),
        "other content than the file: sha256",
    ),
    "missing": (lambda handler, content: handler.send_error(404), "Not Found"),
    "silent": (lambda handler, content: threading.Event().wait(1.5), "timed out"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("old", [b"", b"old content"])
def test_a_download_that_fails_leaves_what_was_there(small, tmp_path, monkeypatch, fault, old):
    monkeypatch.setattr(_downloads, "_PATIENCE", 0.5)
    if old:
        (tmp_path / "mnist.npz").write_bytes(old)
    answer, message = BAD[fault]
    with (
        _server(answer) as (address, _),
        pytest.raises(
            DatasetError, match=f"(?s)cannot load 'mnist': .*({message}).* needs no network: 'digits'"
        ),
    ):
        uk.data.load("mnist", folder=tmp_path, mirror=address)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([old] if old else [])


def test_without_a_network_the_error_says_what_needs_none(tmp_path):
    with pytest.raises(DatasetError, match=r"refused; it can also be put at .* needs no network: 'digits'"):
        uk.data.load("mnist", folder=tmp_path, mirror="http://127.0.0.1:9")


def test_a_mirror_that_is_no_address(tmp_path):
    with pytest.raises(DatasetError, match="unknown url type"):
        uk.data.load("mnist", folder=tmp_path, mirror="no url")
    assert not list(tmp_path.iterdir())


def test_digits_need_no_network():
    train, test = uk.data.load("digits")
    assert (len(train), len(test)) == (1438, 359)
    ((x, _),) = train.batch(len(train))
    assert x.max() == 255
    assert {int(y) for _, y in test} == set(range(10))


def test_downloads_are_where_keras_keeps_them(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert _downloads.data_folder() == tmp_path / "datasets"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("imagenet",), ArgumentValueError, "cifar10, digits, fashion_mnist, mnist"),
        ((3,), ArgumentError, "the name of a data set"),
    ],
)
def test_unknown_names(arguments, error, message):
    with pytest.raises(error, match=message):
        uk.data.load(*arguments)
