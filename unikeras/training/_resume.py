"""`resume`: go on with a run that was saved."""

from __future__ import annotations

from typing import Any

from unikeras.errors import ArgumentError, ArtifactNotFound
from unikeras.training._fit_saver import FitSaver
from unikeras.training._model import Model


def resume(model: Any, folder: Any, x: Any = None, y: Any = None, **options: Any) -> Any:
    """Go on with the run whose checkpoints are in a folder, where the newest one was saved.

    It is `model.fit(x, y, resume=folder, ...)` for a run that has to be there; the number of epochs and the batch
    size are those of the run unless given.

    Args:
        model: a `uk.Model`, made and compiled as at the beginning of the run.
        folder: of the run.
        x: as for `fit`: the same data as at the beginning.
        y: as for `fit`.
        **options: as for `fit`; more `epochs` train further.

    Returns:
        Keras' history, with the epochs before.

    Raises:
        ArtifactNotFound: there is no checkpoint in the folder.
        ArgumentError: the model is a `keras.Model`, whose fit has no position in the data.
        ArgumentValueError: model, optimizer, loss, data or batch size are not those of the run.

    Example:
        >>> import keras, numpy as np, tempfile, unikeras as uk
        >>> x = keras.Input((3,))
        >>> model = uk.Model(x, keras.layers.Dense(1)(x))
        >>> model.compile("adam", "mse")
        >>> folder = tempfile.mkdtemp()
        >>> history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, resume=folder, verbose=0)
        >>> uk.training.resume(model, folder, np.ones((8, 3)), np.ones((8, 1)), epochs=3, verbose=0).epoch
        [0, 1, 2]
    """
    if not isinstance(model, Model):
        raise ArgumentError(
            f"resume takes a uk.Model; received {type(model).__name__}, whose fit has no position in the data. "
            "uk.Model.from_keras(model) has one, over the same weights"
        )
    found = FitSaver(folder).newest()
    if found is None:
        raise ArtifactNotFound(f"there is no checkpoint in {folder}")
    saved = found[1] if isinstance(found[1], dict) else {}
    options.setdefault("epochs", saved.get("epochs", 1))
    batch_size = saved.get("settings", {}).get("batch_size")
    if batch_size is not None:
        options.setdefault("batch_size", batch_size)
    return model.fit(x, y, resume=folder, **options)
