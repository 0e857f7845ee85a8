"""Transforms of pictures against the layers of Keras that have the same meaning."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from unikeras.data import transforms as T  # noqa: N812
from unikeras.errors import ArgumentError, ArgumentValueError

pytest.importorskip("cv2", reason="OpenCV is not installed")


def smooth(height=16, width=20):
    """Return a picture of waves, float32 from 0 to 255: near pixels have near values."""
    y, x = np.mgrid[:height, :width] / 5.0
    waves = [127.5 + 127.5 * np.sin(x + channel) * np.cos(y - channel) for channel in range(3)]
    return np.stack(waves, axis=-1).astype("float32")


def of_layer(layer, picture):
    return keras.ops.convert_to_numpy(layer(picture[None], training=True))[0]


FILLS = [
    {"fill_mode": mode, "fill_value": value}
    for mode, value in (("constant", 90.0), ("nearest", 0.0), ("reflect", 0.0))
]
# Layers without anything random in them: each draws from a range of one number.
LAYERS = {
    "rotation by 90": lambda fill: layers.RandomRotation((0.25, 0.25), **fill),
    "rotation": lambda fill: layers.RandomRotation((0.07, 0.07), **fill),
    "rotation back": lambda fill: layers.RandomRotation((-0.1, -0.1), **fill),
    "translation": lambda fill: layers.RandomTranslation((0.25, 0.25), (-0.33, -0.33), **fill),
    "zoom in": lambda fill: layers.RandomZoom((-0.4, -0.4), **fill),
    "zoom out": lambda fill: layers.RandomZoom((0.3, 0.3), (0.1, 0.1), **fill),
    "nearest": lambda fill: layers.RandomTranslation(
        (0.25, 0.25), (0.5, 0.5), interpolation="nearest", **fill
    ),
}


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill["fill_mode"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_and_its_transform_move_pixels_alike(name, fill):
    picture = smooth()
    layer = LAYERS[name](fill)
    transform = T.from_layer(layer)
    moved = transform(picture)
    # OpenCV rounds places to 1/32 of a pixel; the edge of a constant is a step, where that counts more.
    allowed = 255 / 32 if fill["fill_mode"] == "constant" else 0.75
    np.testing.assert_allclose(of_layer(layer, picture), moved, atol=allowed)
    np.testing.assert_allclose(of_layer(transform.as_layer(), picture), moved, atol=allowed)


def test_wrap_goes_on_at_the_other_edge():
    layer = layers.RandomTranslation(0, (0.25, 0.25), fill_mode="wrap")
    picture = smooth()
    np.testing.assert_allclose(of_layer(layer, picture), T.from_layer(layer)(picture), atol=1e-3)


@pytest.mark.parametrize("factors", [(0.2, 0.0), (0.0, 0.3), (0.2, 0.1)])
def test_a_shear_goes_one_way_or_the_other(factors):
    layer = layers.RandomShear(*[(factor, factor) for factor in factors], fill_mode="nearest")
    transform, picture = T.from_layer(layer), smooth()
    ways = {
        np.round(transform(picture, seed=seed), 3).tobytes(): transform(picture, seed=seed)
        for seed in range(9)
    }
    assert len(ways) == 2
    for one in (layer, transform.as_layer()):
        moved = of_layer(one, picture)
        assert min(np.abs(moved - way).max() for way in ways.values()) < 1


STILL = {
    "resize": lambda: layers.Resizing(7, 30),
    "resize nearest": lambda: layers.Resizing(8, 10, interpolation="nearest"),
    "resize and crop": lambda: layers.Resizing(9, 9, crop_to_aspect_ratio=True),
    "crop": lambda: layers.CenterCrop(7, 10),
    "crop of a smaller picture": lambda: layers.CenterCrop(24, 12),
    "rescale": lambda: layers.Rescaling(1 / 127.5, -1),
    "normalize": lambda: layers.Normalization(mean=[10.0, 20.0, 30.0], variance=[4.0, 9.0, 1.0]),
    "brightness": lambda: layers.RandomBrightness((0.3, 0.3)),
    "brightness of ones": lambda: layers.RandomBrightness((-0.3, -0.3), value_range=(0, 200)),
}


@pytest.mark.parametrize("name", STILL)
def test_a_layer_and_its_transform_change_values_alike(name):
    picture, layer = smooth(), STILL[name]()
    transform = T.from_layer(layer)
    np.testing.assert_allclose(of_layer(layer, picture), transform(picture), atol=2e-3)
    np.testing.assert_allclose(of_layer(transform.as_layer(), picture), transform(picture), atol=2e-3)


def test_contrast_stretches_about_the_mean():
    picture = smooth()
    layer = layers.RandomContrast((0.2, 0.5))
    assert T.from_layer(layer) == T.RandomContrast((-0.2, 0.5))
    assert T.from_layer(layer).as_layer().factor == layer.factor
    stretched = T.RandomContrast((0.4, 0.4))(picture)
    factor = keras.ops.convert_to_tensor(np.full((1, 1, 1, 1), 1.4, "float32"))
    images = keras.ops.convert_to_tensor(picture[None])
    expected = layer.transform_images(images, {"contrast_factor": factor}, training=True)
    np.testing.assert_allclose(stretched, keras.ops.convert_to_numpy(expected)[0], atol=1e-2)


def test_a_normalization_that_was_adapted_has_a_transform():
    layer = layers.Normalization()
    with pytest.raises(ArgumentValueError, match=r"call its adapt\(data\) first"):
        T.from_layer(layer)
    layer.adapt(smooth()[None])
    np.testing.assert_allclose(T.from_layer(layer)(smooth()), of_layer(layer, smooth()), atol=1e-4)


SAME = [
    T.RandomRotation(0.2),
    T.RandomRotation((-0.1, 0.3), fill_mode="constant", fill_value=3.0, interpolation="nearest"),
    T.RandomTranslation(0.1, (-0.2, 0.1)), T.RandomZoom(0.2), T.RandomZoom((-0.5, 0.5), 0.1),
    T.RandomShear(0.2, 0.0), T.RandomShear((0.1, 0.2), (0.0, 0.3)), T.RandomFlip("vertical"),
    T.Resize(7, 8), T.Resize(7, 8, "nearest", False, True), T.CenterCrop(3, 4), T.RandomCrop(3, 4),
    T.RandomBrightness(0.3), T.RandomContrast((-0.1, 0.3)), T.Rescale(2.0, 1.0),
    T.Normalize([1.0, 2.0], [3.0, 4.0]), T.Normalize(1.0, 2.0), T.MixUp(0.3), T.CutMix(0.7),
    T.CutMix((0.0, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize("transform", SAME, ids=str)
def test_as_layer_and_from_layer_are_each_others_opposite(transform):
    assert T.from_layer(transform.as_layer()) == transform


def test_a_compose_is_a_sequential_and_back():
    compose = T.Compose([T.RandomFlip("horizontal"), T.RandomRotation(0.1), T.Rescale(1 / 255)])
    layer = compose.as_layer()
    assert isinstance(layer, keras.Sequential)
    assert T.from_layer(layer) == compose
    assert T.from_layer(layers.Pipeline([layers.RandomFlip("horizontal")])) == T.Compose(
        [T.RandomFlip("horizontal")]
    )
    model = keras.Sequential([keras.Input((16, 20, 3)), layer, layers.Flatten(), layers.Dense(1)])
    assert model(smooth()[None], training=True).shape == (1, 1)
    assert (
        T.Compose([layers.RandomFlip("horizontal"), T.RandomRotation(0.1), layers.Rescaling(1 / 255)])
        == compose
    )


def test_an_image_data_generator_becomes_layers():
    transforms = T.from_image_data_generator(
        rotation_range=36,
        width_shift_range=0.1,
        zoom_range=0.2,
        horizontal_flip=True,
        rescale=0.5,
        fill_mode="reflect",
    )
    names = [type(layer).__name__ for layer in transforms.as_layer().layers]
    assert names == [
        "Rescaling",
        "RandomRotation",
        "RandomTranslation",
        "RandomZoom",
        "RandomFlip",
        "Rescaling",
    ]
    with pytest.raises(ArgumentValueError, match=r"RandomShearAngle.* has no layer"):
        T.from_image_data_generator(shear_range=3).as_layer()


class Own(layers.RandomFlip):
    pass


def test_what_has_no_counterpart_is_named():
    for layer, message in (
        (layers.RandomErasing(), "RandomErasing has no transform; put the layer into the model"),
        (layers.Dense(3), "Dense has no transform"),
        (Own(), "Own has no transform"),
        (layers.RandomFlip(data_format="channels_first"), "channels last"),
        (layers.Resizing(3, 3, pad_to_aspect_ratio=True), "pad_to_aspect_ratio has no transform"),
        (layers.Rescaling([1, 2, 3]), "one number for all channels"),
        (layers.Normalization(invert=True, mean=0.0, variance=1.0), "only axis=-1 without invert"),
    ):
        with pytest.raises(ArgumentValueError, match=message):
            T.from_layer(layer)
    for transform, message in (
        (T.RandomFlip(p=0.3), "p has to be 0.5"),
        (T.RandomContrast((-0.3, 0.1)), "0 <= a <= b"),
        (T.RandomShear((-0.1, 0.3)), "x_factor from 0"),
        (T.MixUp(num_classes=2), "num_classes has to be None"),
        (T.RandomResizedCrop(3, 3), "has no layer in Keras"),
    ):
        with pytest.raises(ArgumentValueError, match=message):
            transform.as_layer()
    with pytest.raises(ArgumentError, match="no layer of Keras"):
        T.from_layer("flip")
