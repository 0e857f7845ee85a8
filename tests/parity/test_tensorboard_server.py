"""Runs that a real TensorBoard serves and a browser shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

import unikeras as uk

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def _watched(folder):
    """Train with TensorBoard, in a process of a backend."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            keras.layers.Dense(8, "relu", name="first"),
            keras.layers.Dense(1, name="last"),
        ]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    callback = uk.callbacks.TensorBoard(folder, update_freq=2, histogram_freq=1, hparams={"rate": 0.01})
    model.fit(x, x[:, :1], epochs=3, verbose=0, validation_split=0.25, callbacks=[callback])


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    for backend in uk.backends.available():
        uk.run_on(backend, _watched, str(folder / backend), timeout=300)
    return folder


@pytest.fixture(scope="module")
def server(logs, tmp_path_factory):
    """Return the address of a TensorBoard that has read all runs."""
    log = tmp_path_factory.mktemp("server") / "log"
    # Without TensorFlow: its import takes longer than the rest.
    start = "import sys; sys.modules['tensorflow'] = None; from tensorboard.main import run_main; run_main()"
    options = ["--logdir", str(logs), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *options],
            stdout=output,
            stderr=output,
            env={**os.environ, "HOME": str(log.parent)},
        )
    try:
        yield _wait_for(process, log)
    finally:
        process.kill()
        process.wait()


def _wait_for(process, log):
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found and len(_get(found[0], "/data/runs")) == 3 * len(uk.backends.available()):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _get(address, path):
    with urllib.request.urlopen(address + path, timeout=60) as response:
        content = response.read().decode()
    return json.loads(content) if content.startswith(("{", "[")) else content


def test_the_server_has_every_kind(server):
    scalars = _get(server, "/data/plugin/scalars/tags")
    histograms = _get(server, "/data/plugin/histograms/tags")
    for backend in uk.backends.available():
        assert {"epoch_loss", "epoch_learning_rate", "epoch_steps_per_second", "batch_loss"} <= set(
            scalars[f"{backend}/train"]
        )
        assert set(scalars[f"{backend}/validation"]) == {"epoch_loss"}
        assert any(tag.endswith("first/kernel/histogram") for tag in histograms[f"{backend}/train"])
        points = _get(server, f"/data/plugin/scalars/scalars?run={backend}%2Fvalidation&tag=epoch_loss")
        assert [step for _, step, _ in points] == [0, 1, 2]
        graph = _get(server, f"/data/plugin/graphs/graph?run={backend}%2Ftrain")
        assert re.findall(r'^  name: "(\w+)"', graph, re.MULTILINE) == ["x", "first", "last"]
        assert re.findall(r'^  input: "(\w+)"', graph, re.MULTILINE) == ["x", "first"]


@pytest.mark.skipif(
    BROWSER is None, reason="neither chromium, chromium-browser nor google-chrome is installed"
)
@pytest.mark.parametrize("tab", ["scalars", "histograms", "graphs"])
def test_a_browser_draws_it(server, tmp_path, tab):
    """Its page keeps what it draws in shadow trees, which a browser does not print: the picture tells."""
    from PIL import Image

    shot = tmp_path / "page.png"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--window-size=1500,1100", "--virtual-time-budget=15000", f"--screenshot={shot}"]
    subprocess.run([*command, f"{server}/#{tab}"], capture_output=True, timeout=120, check=True)
    with Image.open(shot) as picture:
        main = picture.convert("RGB").crop((380, 130, 1500, 1100))
    drawn = sum(pixel not in ((255, 255, 255), (245, 245, 245)) for pixel in main.get_flattened_data())
    assert drawn > 500
