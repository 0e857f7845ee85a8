"""Train the model: `python train.py --epochs 10`. KERAS_BACKEND chooses the framework.

A run that was stopped, by Ctrl-C or a kill, goes on when the same command runs again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from data import load
from model import BEST, build, to_export

import unikeras as uk


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the model.")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--export", metavar="FILE", help="also write an artifact, such as model.onnx")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    checkpoints = options.out / "checkpoints"
    callbacks = [
        uk.callbacks.Checkpoint(checkpoints, every_epochs=1, best=BEST),
        uk.callbacks.HistoryFile(options.out / "history.jsonl"),
        uk.callbacks.TensorBoard(options.out / "logs"),
    ]
    with uk.random.portable(options.seed):  # the same initial weights and the same draws on each backend
        training, validation = load(options.batch_size, options.seed)
        model = build()
        model.fit(
            training,
            validation_data=validation,
            epochs=options.epochs,
            callbacks=callbacks,
            resume=checkpoints,
            verbose=2,
        )
    model.save(options.out / "model.keras")
    if options.export:
        print(uk.export_model(to_export(model), options.out / options.export, overwrite=True))


if __name__ == "__main__":
    main()
