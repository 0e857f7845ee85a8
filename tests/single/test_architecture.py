"""The rules of the house, one test a rule; `helpers/house.py` says what each rule is."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import house
from helpers.house import House

import unikeras
from unikeras.backends import ENTRIES

HOUSE = House.of_folder(Path(unikeras.__file__).parent)

# file -> why it uses Keras' private parts itself
KERAS_INSIDE = {
    "export/writers/_data_layers.py": "the base class that preprocessing layers share",
    "export/writers/_litert_rewrites.py": "replaces functions of Keras' TensorFlow backend while LiteRT converts",
    "export/writers/tf2onnx.py": "Keras' own corrections of tf2onnx",
    "lowering/rules/_activations.py": "classes of operations, the keys of the rules",
    "lowering/rules/_applications.py": "a layer of ConvNeXt that Keras does not export",
    "lowering/rules/_ops.py": "classes of operations, the keys of the rules",
    "lowering/rules/_ops_axes.py": "classes of operations, the keys of the rules",
}

# rule -> files that break it, and what it says of them
BROKEN = {
    "imports_upward": (
        {"layers/a.py": "def f():\n    from unikeras.training import Model"},
        "layers/a.py:2 imports training",
    ),
    "imports_past_a_door": (
        {"layers/__init__.py": "LSTM = 1", "training/a.py": "from unikeras import layers\nlayers.GRU"},
        "training/a.py:2 uses GRU",
    ),
    "private_names_of_others": (
        {"errors.py": "", "layers/a.py": "from unikeras import errors\nerrors._raised"},
        "layers/a.py:2 uses _raised of errors",
    ),
    "circles": (
        {
            "layers/a.py": "if TYPE_CHECKING:\n    from unikeras.layers.b import B",
            "layers/b.py": "from unikeras.layers.a import A",
        },
        "layers.a layers.b",
    ),
    "shared_file_names": ({"backends/jax/a.py": "", "layers/a.py": ""}, "backends/jax/a.py layers/a.py"),
    "framework_imports_outside": ({"layers/a.py": "\nimport torch.nn"}, "layers/a.py:2 imports torch.nn"),
    "backend_names_compared": ({"lowering/a.py": "name in ('jax',)"}, "lowering/a.py:1 compares with 'jax'"),
    "keras_private_parts": (
        {"layers/a.py": "from keras.src import backend"},
        "layers/a.py:1 uses keras.src.backend",
    ),
}


@pytest.mark.parametrize("rule", [rule for rule in BROKEN if rule != "keras_private_parts"])
def test_the_house_keeps_the_rule(rule):
    assert list(getattr(house, rule)(HOUSE)) == []


def test_keras_insides_are_in_their_room():
    files = {line.partition(":")[0] for line in house.keras_private_parts(HOUSE)}
    assert files == KERAS_INSIDE.keys()


@pytest.mark.parametrize("rule", BROKEN)
def test_each_rule_can_fail(rule):
    sources, message = BROKEN[rule]
    found = list(getattr(house, rule)(House(sources)))
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("rule", "sources"),
    [
        ("imports_upward", {"layers/a.py": "import unikeras as uk"}),
        ("imports_upward", {"surprise/a.py": ""}),
        ("imports_past_a_door", {"backends/a.py": "", "layers/a.py": "from unikeras.backends import a"}),
        ("private_names_of_others", {"layers/b.py": "from unikeras.layers.a import _f"}),
        ("backend_names_compared", {"layers/a.py": "match name:\n    case 'torch':\n        pass"}),
        ("keras_private_parts", {"layers/a.py": "import keras\nkeras.src.models"}),
        ("keras_private_parts", {"layers/a.py": "from keras.saving import _lib"}),
    ],
)
def test_other_ways_to_break_a_rule(rule, sources):
    assert len(list(getattr(house, rule)(House(sources)))) == 1


def test_the_same_part_of_another_backend_may_share_its_name():
    assert not list(house.shared_file_names(House({"backends/jax/a.py": "", "backends/torch/a.py": ""})))


def test_the_frameworks_are_those_of_the_registry():
    assert set(ENTRIES) == house.FRAMEWORKS
