"""An artifact is pickled as its file: a copy opens the file again, and refuses another one."""

from __future__ import annotations

import copy
import multiprocessing
import operator
import pickle

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArtifactNotFound, CorruptArtifact
from unikeras.export.readers import READERS

torch = pytest.importorskip("torch")

X = np.ones((2, 3), "float32")


class Scaling(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor):
        return x * self.factor


def written(path, factor):
    torch.jit.script(Scaling(factor)).save(str(path))
    return path


# What another process runs has to be found there by its name, which a test module's functions are not.
predict = operator.methodcaller("predict", X)


@pytest.mark.filterwarnings("ignore")
def test_a_copy_opens_the_file_again(tmp_path, monkeypatch):
    path = written(tmp_path / "model.pt", 2.0)
    monkeypatch.chdir(tmp_path)
    artifact = uk.load_artifact("model.pt", trust=True)
    packed = pickle.dumps(artifact)
    monkeypatch.chdir("/")
    for other in (pickle.loads(packed), copy.deepcopy(artifact)):
        np.testing.assert_array_equal(predict(other), 2 * X)
        assert pickle.dumps(other) == packed
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(predict, (artifact,)), 2 * X)
    written(path, 3.0)
    with pytest.raises(
        CorruptArtifact, match=r"model\.pt has other content than the artifact that was pickled"
    ):
        pickle.loads(packed)
    path.unlink()
    with pytest.raises(ArtifactNotFound, match=r"model\.pt"):
        pickle.loads(packed)


@pytest.mark.filterwarnings("ignore")
def test_what_load_artifact_did_not_open_is_refused(tmp_path):
    path = written(tmp_path / "model.pt", 2.0)
    with pytest.raises(ArgumentError, match="not opened by load_artifact"):
        pickle.dumps(READERS["torchscript"](path))
