"""An artifact of two files is read as one: with the weights that it was written with, or not at all."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from helpers.processes import in_a_process

from unikeras._base import files as _files
from unikeras._base.files import written_atomically
from unikeras.errors import CorruptArtifact
from unikeras.export._metadata import WEIGHTS_KEY, sha256_of_file
from unikeras.export.readers import READERS, load_artifact
from unikeras.export.readers.openvino_import import load_openvino

pytestmark = pytest.mark.skipif(READERS["openvino"].missing() is not None, reason="openvino is not installed")


def save(path, value):
    """Write a model that adds a constant, with the digest of its weights, as an export does."""
    openvino = load_openvino()
    from openvino import opset13

    x = opset13.parameter([1, 4], np.float32, name="x")
    total = opset13.add(x, opset13.constant(np.full((1, 4), value, np.float32)))
    total.output(0).set_names({"y"})
    x.output(0).set_names({"x"})
    model = openvino.Model([opset13.result(total)], [x], "m")
    openvino.save_model(model, str(path), compress_to_fp16=False)
    model.set_rt_info(sha256_of_file(path.with_suffix(".bin")), WEIGHTS_KEY)
    openvino.save_model(model, str(path), compress_to_fp16=False)


def value_of(artifact):
    return float(artifact.run([np.zeros((1, 4), "float32")])[0][0, 0])


def test_weights_of_another_model_are_refused_and_a_replacement_is_finished(tmp_path, monkeypatch):
    path = tmp_path / "m.xml"
    save(path, 1.0)
    save(tmp_path / "new.xml", 2.0)
    new = {end: (tmp_path / f"new{end}").read_bytes() for end in (".xml", ".bin")}
    assert value_of(load_artifact(path)) == 1.0

    def replace():
        move = _files._move

        def then_die(written, final):
            move(written, final)
            os.kill(os.getpid(), signal.SIGKILL)

        _files._move = then_die
        with written_atomically(path, beside=".bin") as temporary:
            temporary.write_bytes(new[".xml"])
            temporary.with_suffix(".bin").write_bytes(new[".bin"])

    assert in_a_process(replace)
    with monkeypatch.context() as patch:  # as if the replacement were still going on in another process
        patch.setattr("unikeras.export.readers.opening.recover", lambda _: None)
        with pytest.raises(
            CorruptArtifact, match=r"the \.bin beside it is not the one that it was written with"
        ):
            load_artifact(path)
    assert value_of(load_artifact(path)) == 2.0
