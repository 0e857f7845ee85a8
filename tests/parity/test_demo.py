"""The demo on all backends: equal losses, good accuracies, verified artifacts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from unikeras.backends import _registry


@pytest.fixture
def demo(tmp_path):
    """Run the command on all backends and return its report; it has to succeed."""
    # Several threads of OpenMP wait for each other busily, which takes minutes on a machine that is shared.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*arguments: str):
        command = [sys.executable, "-m", "unikeras", "demo", "--json", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=540, env=environment
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_the_digits_are_learned_alike_everywhere(demo):
    report = demo()
    assert [row["backend"] for row in report["backends"]] == _registry.names()
    assert all(row["test_accuracy"] >= 0.97 for row in report["backends"])
    assert report["loss_agreement"]["max_relative_difference"] < 1e-5
    assert report["same_predictions"] >= 0.99 * report["dataset"]["test"]
    assert report["best"]["test_accuracy"] >= 0.97
    assert [row["status"] for row in report["artifacts"]] == ["verified"] * 3


def test_flat_images_do_not_part_the_backends(demo, tmp_path):
    """Equal neighbours are where rounding decides what a MaxPooling2D passes on; see unikeras/apps/demo/model.py."""
    draw_at = np.random.default_rng(0).integers(2, 16, (2, 24, 2))
    for name, places in zip(("box", "disc"), draw_at, strict=True):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for i, (x, y) in enumerate(places):
            image = Image.new("RGB", (32, 32), (10 * int(x), 60, 90))
            shape = ImageDraw.Draw(image).rectangle if name == "box" else ImageDraw.Draw(image).ellipse
            shape((int(x), int(y), int(x) + 12, int(y) + 12), fill=(200, 10 * int(y), 40))
            image.save(tmp_path / "shapes" / name / f"{i}.png")
    report = demo("--data", "shapes", "--epochs", "20")
    assert report["loss_agreement"]["steps"] == 20
    assert report["loss_agreement"]["max_relative_difference"] < 1e-3
