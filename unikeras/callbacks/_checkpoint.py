"""The callback `Checkpoint`."""

from __future__ import annotations

from unikeras.training import FitSaver


class Checkpoint(FitSaver):
    """Saves checkpoints while `fit` runs, from which `fit(..., resume=folder)` goes on, in the middle of an epoch too.

    A checkpoint has all that training carries: weights, optimizer, metrics, generators, the position in the data, the
    other callbacks, history. A resumed run of a `uk.Model` computes what the uninterrupted one would have, bit for
    bit. The first checkpoint is saved before the first batch, the last after the last epoch. SIGTERM and Ctrl-C save
    after the batch that runs, and then end the process as they would have without it.

    In `keras.Model.fit` it saves the same, but for the position in the data: no run goes on exactly from there.

    Args:
        folder: of this run, and of no other.
        every_steps: save each so many batches.
        every_epochs: save each so many epochs; 1 where no other `every_` is given.
        every_seconds: save after the first batch that ends so many seconds after the last save.
        keep: how many of the newest checkpoints stay; None for all.
        best: the name of a value in the logs of epochs, such as `"val_loss"`, or a name and `"min"` or `"max"`. Each
            epoch that has it is saved, and the best one stays besides the newest.

    Raises:
        ArgumentError: an argument is of another kind.
        ArgumentValueError: an argument is out of its range; fit has two of these, or one whose folder holds another
            run.
        OutputError: at the beginning of fit, the folder cannot be written to, or another process saves there. Later,
            a failure to save is a warning, and training goes on.

    Example:
        >>> import keras, numpy as np, tempfile, unikeras as uk
        >>> def run(epochs, folder):
        ...     x = keras.Input((3,))
        ...     model = uk.Model(x, keras.layers.Dense(1)(x))
        ...     model.compile("adam", "mse")
        ...     saving = uk.callbacks.Checkpoint(folder, every_steps=2)
        ...     data = np.ones((8, 3)), np.ones((8, 1))
        ...     return model.fit(*data, epochs=epochs, callbacks=[saving], resume=folder, verbose=0)
        >>> folder = tempfile.mkdtemp()
        >>> first, second = run(1, folder), run(2, folder)
        >>> second.history["loss"][0] == first.history["loss"][0], second.epoch
        (True, [0, 1])
    """
