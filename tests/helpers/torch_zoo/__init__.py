"""Whole torch modules with random weights: small ones of transformers and timm, torch's layers, and hard programs.

    hugging_face   transformers
    pictures       timm
    sequences      recurrent layers, attention, nn.Transformer
    programs       what single layers do not show: in-place operations, ties, dicts, half precision

The names stand here, because their modules load torch: workers do that.
"""

from __future__ import annotations

import importlib
from typing import Any

FAMILIES = {
    "hugging_face": (
        "bert",
        "bert with attention written out",
        "gpt2",
        "llama",
        "t5",
        "vit",
        "swin",
        "whisper encoder",
    ),
    "pictures": ("resnet18", "efficientnet", "convnext_atto", "mobilenetv3_small_050", "vit_tiny"),
    "sequences": (
        "lstm",
        "stacked bidirectional lstm",
        "lstm with dropout",
        "lstm with projection and states",
        "gru",
        "time-major gru with states",
        "rnn",
        "relu rnn",
        "attention with masks",
        "self-attention",
        "transformer encoder",
        "transformer encoder that normalizes first",
        "transformer decoder",
        "transformer",
        "packed dropout",
    ),
    "programs": (
        "convolutions",
        "pools",
        "ups",
        "volumes",
        "waves",
        "norms",
        "row norms",
        "tied weights",
        "dict outputs",
        "none input",
        "in place",
        "stopped parts",
        "choices",
        "half precision",
        "bfloat16",
        "numbers",
        "sizes",
        "windows",
        "parametrized",
        "loss",
    ),
}
NAMES = tuple(name for names in FAMILIES.values() for name in names)


def find(name: str) -> Any:
    """Return the `ZooModel` of a name."""
    from helpers import torchvision_stand_in

    # transformers and timm import torchvision with their first model.
    torchvision_stand_in.install()
    family = next(family for family, names in FAMILIES.items() if name in names)
    models = importlib.import_module(f"helpers.torch_zoo.{family}").MODELS
    assert tuple(models) == FAMILIES[family]
    return models[name]
