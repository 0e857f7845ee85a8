"""A stranger's .pt2 runs no code: each way in that PyTorch's own loader leaves open is closed."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import CorruptArtifact
from unikeras.export.readers import READERS, _pt2_archive, opening

pytestmark = [
    pytest.mark.skipif(READERS["pt2"].missing() is not None, reason="torch is not installed"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]

GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


@pytest.fixture(scope="module")
def records():
    """What a harmless archive with dynamic axes holds, by name."""
    import torch
    from torch.export.pt2_archive import PT2ArchiveReader

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = torch.nn.Linear(3, 2)

        def forward(self, x):
            return torch.einsum("btf->bf", self.dense(x).reshape(x.shape[0] * x.shape[1], 1, 2))

    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(Net(), (torch.ones(2, 5, 3),), dynamic_shapes=({0: free, 1: free},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    with PT2ArchiveReader(buffer) as archive:
        return {name: archive.read_bytes(name) for name in archive.get_file_names()}


def _write(path, records):
    from torch.export.pt2_archive import PT2ArchiveWriter

    own = {"archive_format", "archive_version", "byteorder", "version", ".data/serialization_id"}
    with PT2ArchiveWriter(str(path)) as archive:
        for name in records.keys() - own - {".data/version"}:
            archive.write_bytes(name, records[name])


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def _in_graph(change):
    def spoil(records, mark):
        graph = json.loads(records[GRAPH])
        change(graph, mark)
        return {**records, GRAPH: json.dumps(graph).encode()}

    return spoil


def _call(graph, mark):
    node = graph["graph_module"]["graph"]["nodes"][0]
    node["target"] = "torch.os.mkdir"
    node["inputs"] = [{"name": "path", "arg": {"as_string": str(mark)}, "kind": 1}]


def _size(graph, mark):
    values = graph["graph_module"]["graph"]["tensor_values"]
    values["metadata"] = values[next(iter(values))]  # a name under which nobody would look
    values["metadata"]["sizes"] = [
        {"as_expr": {"expr_str": f"__import__('os').mkdir({str(mark)!r})", "hint": None}}
    ]


def _text_in_a_size(graph, mark):
    text = f"""sympify("__import__('os').mkdir({str(mark)!r})")"""
    _size(graph, mark)
    graph["graph_module"]["graph"]["tensor_values"]["metadata"]["sizes"][0]["as_expr"]["expr_str"] = text


def _name(graph, mark):
    graph["graph_module"]["graph"]["nodes"][0]["name"] = f"x=__import__('os').mkdir({str(mark)!r})"


def _guard(graph, mark):
    graph["guards_code"] = [f"__import__('os').mkdir({str(mark)!r})"]


def _structure(graph, mark):
    rows = graph["graph_module"]["module_call_graph"]
    enum = json.dumps({"__enum__": True, "fqn": "antigravity:x", "name": "y"})
    spec = {"type": "builtins.dict", "context": f"[{enum}]", "children_spec": []}
    rows[0]["signature"]["in_spec"] = json.dumps([1, spec])


def _pickled_samples(records, mark):
    return {**records, "data/sample_inputs/model.pt": pickle.dumps(Bomb(mark))}


def _pickled_weight(records, mark):
    config = json.loads(records[WEIGHTS])
    name = next(iter(config["config"]))
    config["config"][name]["use_pickle"] = True
    changed = {WEIGHTS: json.dumps(config).encode(), "data/weights/weight_0": pickle.dumps(Bomb(mark))}
    return {**records, **changed}


def _old_weights(records, mark):
    return {**records, "data/weights/model.pt": pickle.dumps(Bomb(mark))}


def _library(records, mark):
    return {**records, "data/aotinductor/model/model.so": b"ELF"}


WAYS = {
    "pickled samples": _pickled_samples,
    "pickled weight": _pickled_weight,
    "weights of an older kind": _old_weights,
    "a library": _library,
    "a function of the system": _in_graph(_call),
    "a size that calls": _in_graph(_size),
    "a size that reads text": _in_graph(_text_in_a_size),
    "a name that calls": _in_graph(_name),
    "a condition": _in_graph(_guard),
    "an enumeration that imports": _in_graph(_structure),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_archive_that_could_run_code_is_refused(tmp_path, records, way):
    path, mark = tmp_path / "m.pt2", tmp_path / "mark"
    _write(path, WAYS[way](records, mark))
    # In this process: the child that looks first would only hide what happens.
    with pytest.raises(CorruptArtifact, match="is not a readable pt2 artifact"):
        opening._open(path, READERS["pt2"])
    assert not mark.exists()


def test_a_condition_may_compare_sizes_and_call_nothing_else():
    harmless = _pt2_archive._is_harmless
    assert harmless("guards_code", "max(1, L['x'].size()[2] // 2) < min(3, L['y'].size()[0])")
    assert not harmless("guards_code", "maxim(1, 2)")
    assert not harmless("guards_code", "max.__class__")


def test_an_archive_of_the_older_kind_is_refused(tmp_path):
    path, mark = tmp_path / "m.pt2", tmp_path / "mark"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", "{}")
        for name in ("state_dict", "constants", "example_inputs"):
            archive.writestr(f"serialized_{name}.pt", pickle.dumps(Bomb(mark)))
    with pytest.raises(CorruptArtifact, match="is not a readable pt2 artifact"):
        opening._open(path, READERS["pt2"])
    assert not mark.exists()


def test_a_harmless_archive_of_somebody_else_is_loaded(tmp_path, records):
    _write(tmp_path / "m.pt2", records)
    artifact = uk.load_artifact(tmp_path / "m.pt2")
    assert str(artifact.signature) == "(x: float32 (None, None, 3)) -> ()"
    assert artifact.predict(np.ones((4, 7, 3), "float32")).shape == (28, 2)
