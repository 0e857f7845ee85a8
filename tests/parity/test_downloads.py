"""The downloads of docs/pretrained.md, run as the page has them against a local server."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from helpers.hub_server import serving
from safetensors.numpy import save

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed here")

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
HUB, OF_TORCH, OF_KERAS = re.findall(
    r"^```python hub\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)
STATE = {"fc.weight": np.arange(6, dtype="float32").reshape(2, 3), "fc.bias": np.ones(2, "float32")}
REPOSITORIES = {
    "timm/resnet18.a1_in1k/model.safetensors": save(STATE),
    "google-bert/bert-base-uncased/config.json": b"{}",
    "google-bert/bert-base-uncased/model.safetensors": save(STATE),
    "google-bert/bert-base-uncased/pytorch_model.bin": b"not asked for",
}
MODEL = """
import keras, torch
import unikeras as uk
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])
def check():
    assert model.get_weights()[0].T.tolist() == [[0, 1, 2], [3, 4, 5]]
    model.set_weights([0 * array for array in model.get_weights()])
"""


@pytest.fixture
def run(tmp_path):
    """Run code in a process with caches and the address of the hub of its own."""

    def call(code: str, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
        homes = {name: str(tmp_path / name) for name in ("HF_HOME", "TORCH_HOME", "KERAS_HOME")}
        own = {**os.environ, **homes, "HF_ENDPOINT": address, "KERAS_BACKEND": "torch", **environment}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=own, check=False
        )

    return call


def test_the_downloads_of_the_page_arrive(run, tmp_path):
    import torch

    content = io.BytesIO()
    torch.save({name: torch.tensor(array) for name, array in STATE.items()}, content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    h5 = _weights_file(tmp_path)
    files = {
        **REPOSITORIES,
        f"models/resnet18-{digest[:8]}.pth": content.getvalue(),
        "models/resnet18-f37072fd.pth": content.getvalue(),
        "mobilenet.weights.h5": h5,
    }
    with serving(files) as address:
        of_torch = OF_TORCH.replace("https://download.pytorch.org", address)
        of_keras = OF_KERAS.replace("https://example.org", address)
        sha256 = f"sha256 = {hashlib.sha256(h5).hexdigest()!r}\n"
        other = (
            f"try:\n{textwrap.indent(of_torch, '    ')}\nexcept RuntimeError as error:\n    print(error)\n"
        )
        of_torch = of_torch.replace("f37072fd", digest[:8])
        code = "check()\n".join([MODEL + HUB, of_torch, sha256 + of_keras, other + "print(folder)"])
        done = run(code, address)
        assert done.returncode == 0, done.stderr
    refused, folder = done.stdout.splitlines()[-2:]
    assert refused.startswith("invalid hash value")
    assert {path.name for path in Path(folder).iterdir()} == {"config.json", "model.safetensors"}


def test_what_was_downloaded_is_there_without_a_network(run):
    lines = [line for line in HUB.splitlines() if not line.startswith("uk.")]
    code = "\n".join([*lines, "print(weights, folder)"])
    with serving(REPOSITORIES) as address:
        done = run(code, address)
        assert done.returncode == 0, done.stderr
    again = run(code, address, HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_nothing_downloaded_and_no_network_is_one_error(run):
    # Without HF_HUB_OFFLINE, it is the same error after 20 seconds of trying.
    done = run(HUB.partition("uk.")[0], "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert re.match(r"(\w+\.)*LocalEntryNotFoundError: .*check your connection", done.stderr.splitlines()[-1])


def _weights_file(folder: Path) -> bytes:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])
    model.set_weights([STATE["fc.weight"].T, STATE["fc.bias"]])
    path = folder / "file.weights.h5"
    model.save_weights(path)
    return path.read_bytes()
