"""uk.random.portable on all backends: initial weights, layers, augmentation, and a whole fit with dropout."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import unikeras as uk

BACKENDS = uk.backends.available()

pytestmark = pytest.mark.usefixtures("one_thread")


def _weights_and_layers():
    import keras
    import numpy as np
    from keras import initializers, layers, ops

    import unikeras as uk

    def array(x):
        return np.asarray(ops.convert_to_numpy(x))

    named = ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform")
    plain = ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")
    image = np.linspace(0, 1, 2 * 12 * 12 * 3, dtype="float32").reshape(2, 12, 12, 3)
    sequence = np.linspace(-1, 1, 60, dtype="float32").reshape(3, 5, 4)
    scale = {"value_range": (0, 1)}
    exact, near = {}, {}
    with uk.random.portable(7):
        for name in (*named, *plain):
            exact[name] = array(getattr(initializers, name)()((17, 23)))
        near["Orthogonal"] = array(initializers.Orthogonal()((7, 7)))
        for layer in (
            *(
                layers.Dropout(0.4),
                layers.GaussianNoise(0.3),
                layers.GaussianDropout(0.3),
                layers.AlphaDropout(0.3),
            ),
            layers.SpatialDropout1D(0.5),
        ):
            for kind, call in (
                ("eager", layer),
                ("compiled", uk.function(lambda x, layer=layer: layer(x, training=True))),
            ):
                near[f"{type(layer).__name__} {kind}"] = array(
                    call(sequence, training=True) if call is layer else call(sequence)
                )
        exact["RandomFlip"] = array(layers.RandomFlip()(image, training=True))
        exact["RandomCrop"] = array(layers.RandomCrop(7, 8)(image, training=True))
        for layer in (
            *(layers.RandomRotation(0.2), layers.RandomZoom(0.2), layers.RandomTranslation(0.2, 0.2)),
            *(
                layers.RandomShear(0.3, 0.3),
                layers.RandomContrast(0.5),
                layers.RandomBrightness(0.5, **scale),
            ),
            *(
                layers.RandomHue(0.4, **scale),
                layers.RandomSaturation(0.5, **scale),
                layers.RandomErasing(**scale),
            ),
        ):
            near[type(layer).__name__] = array(layer(image, training=True))
    keras.utils.clear_session()
    return exact, near


def _losses_of_a_fit():
    import keras
    import numpy as np
    from keras import layers

    import unikeras as uk

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(160, 20)).astype("float32"), rng.integers(0, 5, 160)
    with uk.random.portable(7):
        model = uk.Model.from_keras(
            keras.Sequential(
                [
                    keras.Input((20,)),
                    *(
                        layers.Dense(64, "relu"),
                        layers.Dropout(0.3),
                        layers.Dense(64, "relu", kernel_initializer="he_normal"),
                    ),
                    *(layers.GaussianNoise(0.1), layers.Dropout(0.3), layers.Dense(5)),
                ]
            )
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-2), loss)
        losses = []

        class Losses(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                losses.append(float(logs["loss"]))

        model.fit(x, y, batch_size=32, epochs=4, shuffle=True, verbose=0, callbacks=[Losses()])
    return np.array(losses)


@functools.cache
def _outcome(backend, f):
    return uk.run_on(backend, f, timeout=300)


@pytest.mark.skipif(len(BACKENDS) < 2, reason="one backend is installed, so there is nothing to compare")
def test_initial_weights_layers_and_augmentation_are_equal():
    (exact, near), *others = [_outcome(backend, _weights_and_layers) for backend in BACKENDS]
    for other_exact, other_near in others:
        for name, value in exact.items():
            np.testing.assert_array_equal(other_exact[name], value, err_msg=name)
        for name, value in near.items():
            np.testing.assert_allclose(other_near[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.skipif(len(BACKENDS) < 2, reason="one backend is installed, so there is nothing to compare")
def test_a_fit_with_dropout_has_the_same_losses():
    first, *others = [_outcome(backend, _losses_of_a_fit) for backend in BACKENDS]
    assert len(first) == 20
    assert first[-1] < first[0]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-5)
