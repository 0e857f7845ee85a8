"""Image models of timm."""

from __future__ import annotations

from .zoo_model import ZooModel, images


def _model(name: str, size: int = 64, **settings) -> ZooModel:
    def build():
        import timm

        return timm.create_model(name, num_classes=10, **settings)

    return ZooModel(build, images(size))


MODELS = {
    "resnet18": _model("resnet18"),
    "efficientnet": _model("test_efficientnet"),
    "convnext_atto": _model("convnext_atto"),
    "mobilenetv3_small_050": _model("mobilenetv3_small_050"),
    "vit_tiny": _model("vit_tiny_patch16_224", 32, img_size=32, depth=2),
}
