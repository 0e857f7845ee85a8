"""Whole torch modules with random weights: small ones of transformers and timm, torch's layers, and hard programs.

    hugging_face   transformers
    pictures       timm
    sequences      recurrent layers, attention, nn.Transformer
    programs       what single layers do not show: in-place operations, ties, dicts, half precision

Needs torch, so it is imported where a module is built, in a worker.
"""

from __future__ import annotations

from helpers import torchvision_stand_in

from . import hugging_face, pictures, programs, sequences
from .zoo_model import ZooModel

# transformers and timm import torchvision with their first model.
torchvision_stand_in.install()

MODELS: dict[str, ZooModel] = {
    **hugging_face.MODELS,
    **pictures.MODELS,
    **sequences.MODELS,
    **programs.MODELS,
}
