"""Image models of timm."""

from __future__ import annotations

from .zoo_model import ZooModel, images


def _model(name: str, size: int = 64, gradients: float = 1e-5, **settings) -> ZooModel:
    def build():
        import timm

        return timm.create_model(name, num_classes=10, **settings)

    return ZooModel(build, images(size), gradients=gradients)


MODELS = {
    "resnet18": _model("resnet18"),
    "efficientnet": _model("test_efficientnet"),
    "convnext_atto": _model("convnext_atto"),
    # From its gradients in float64, torch's own in float32 are 7.6e-6 away, TensorFlow's 1.06e-5, JAX' 4.9e-6.
    "mobilenetv3_small_050": _model("mobilenetv3_small_050", gradients=2e-5),
    "vit_tiny": _model("vit_tiny_patch16_224", 32, img_size=32, depth=2),
}
