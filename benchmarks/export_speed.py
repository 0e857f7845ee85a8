"""How long exports take, and how fast the ONNX files are against those of hand-written torch modules.

KERAS_BACKEND=jax python benchmarks/export_speed.py [export formats inference]

`export`: the LSTM model to ONNX without and with a cross-backend export, cold and warm (wall and this process' own
seconds), then six formats in one call and the workers that it started. `formats`: the command line's list.
`inference`: interleaved medians. Read ratios and the load: seconds depend on what else the machine does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from models import cnn, lstm

import unikeras as uk

ROUNDS, BATCH = 60, 16
SIX = ["saved_model", "onnx", "torchscript", "pt2", "litert", "openvino"]


def clocked(label: str, run) -> None:
    wall, own = time.perf_counter(), time.process_time()
    result = run()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    print(
        f"{label:28s} {wall:6.1f} s wall {own:6.1f} s own   load {os.getloadavg()[0]:.1f}   {result}",
        flush=True,
    )


def export(folder: Path) -> None:
    from unikeras.export import _export_model as _export
    from unikeras.export._offers import usable_writers

    def to(name: str) -> str:
        return uk.export_model(lstm(), folder / name, overwrite=True).artifacts[0].route

    for state in ("cold", "warm"):
        clocked(f"onnx, {state}", lambda: to("direct.onnx"))
    uk.workers.shutdown()
    _export.usable_writers = lambda *args: [one for one in usable_writers(*args) if " on " in one.name]
    for state in ("cold", "warm"):
        clocked(f"onnx by a cross-backend export, {state}", lambda: to("hop.onnx"))
    _export.usable_writers = usable_writers
    uk.workers.shutdown()
    clocked("six formats, one call", lambda: _six(folder / "six"))


def _six(folder: Path) -> str:
    """Export to all formats, and count the interpreters that were started for it."""
    started, start = [], subprocess.Popen.__init__

    def counting(self, *args, **kwargs):
        started.append(args)
        start(self, *args, **kwargs)

    subprocess.Popen.__init__ = counting
    try:
        report = uk.export_model(lstm(), folder, SIX)
    finally:
        subprocess.Popen.__init__ = start
    routes = ", ".join(f"{row.format}: {row.route}" for row in report.artifacts)
    return f"{len(started)} processes started; {routes}"


def formats() -> None:
    command = [sys.executable, "-m", "unikeras", "formats"]
    clocked("unikeras formats", lambda: subprocess.run(command, check=True, capture_output=True).returncode)


def inference(folder: Path) -> None:
    from native.torch_export import by_hand

    for make in (cnn, lstm):
        model = make()
        ours, theirs = folder / f"{make.__name__}.onnx", folder / f"{make.__name__}_by_hand.onnx"
        (row,) = uk.export_model(model, ours).artifacts
        channels_first = by_hand(make.__name__, model.get_weights(), theirs)
        x = np.random.default_rng(0).normal(size=(BATCH, *model.input_shape[1:])).astype("float32")
        others = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if channels_first else x
        _compare(f"{make.__name__}, {row.route}", (ours, x), (theirs, others))


def _compare(name: str, *sides: tuple[Path, np.ndarray]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    runs = []
    for path, x in sides:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        runs.append(lambda session=session, x=x: session.run(None, {session.get_inputs()[0].name: x})[0])
    np.testing.assert_allclose(runs[0](), runs[1](), rtol=1e-3, atol=1e-4)
    times = [[_seconds(run) for run in runs] for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{name:30s} {1e3 * ours:7.2f} ms, by hand {1e3 * theirs:7.2f} ms: {ours / theirs:.3f} (goal <= 1.05)"
    )


def _seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    wanted = sys.argv[1:] or ["export", "formats", "inference"]
    print(f"on {uk.backend()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, run in {
            "export": lambda: export(folder),
            "formats": formats,
            "inference": lambda: inference(folder),
        }.items():
            if part in wanted:
                run()


if __name__ == "__main__":
    main()
