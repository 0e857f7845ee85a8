"""On a machine with a GPU: are the numbers those of the CPU, and how fast is it? One command, eight minutes at most.

python benchmarks/device.py [--device gpu|cpu] [--quick] [--backends torch,jax] [--minutes 8] [--json]

First it checks, for each backend, that functions with state, retraces, gradients, `fit` and train steps of an MLP, a
CNN, an LSTM and a transformer compute on the device what they compute on the CPU, and that the contract of a backend
holds there. Then it prints the ratios of `train_step.py` for the device, as far as the time goes. TensorFloat-32 is off
for the checks, and as the frameworks have it for the ratios. It needs keras, optree, h5py, namex, rich and cloudpickle,
none of which has a compiled part for a GPU. `--device cpu --quick` tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHARED = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false"
}  # processes follow each other, and one may still be ending
EXACT = {"NVIDIA_TF32_OVERRIDE": "0", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}
CPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
CHECKS = (
    *("functions_with_state", "retraces", "random_draws_repeat", "gradients"),
    *(
        "fit_mlp",
        "fit_cnn",
        "fit_lstm",
        "fit_attention",
        "step_mlp",
        "step_cnn",
        "step_lstm",
        "step_attention",
    ),
)
# Of the largest value in an array: sums in another order, and a few steps that carry their differences on.
TOLERANCES = {"fit": 2e-3, "step": 2e-3, "gradients": 1e-4}
MODELS = ("mlp", "cnn", "lstm", "predict-cnn", "transformer", "predict-transformer", "resnet")


class Clock:
    """The seconds that are left."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


def main() -> int:
    options = _options()
    clock = Clock(options.minutes)
    document: dict[str, Any] = {"device": options.device, "backends": {}}
    for name in options.backends:
        document["backends"][name] = checked(name, options, clock)
        if not options.json:
            print(_text_of(name, document["backends"][name]), flush=True)
    document["ratios"] = ratios(options, clock)
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print("\n\n".join(document["ratios"].values()) or "no time was left for ratios")
    return int(any(row["failed"] or row["different"] for row in document["backends"].values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    installed = ",".join(name for name in ("torch", "jax") if find_spec(name))
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--backends", type=lambda text: text.split(","), default=installed.split(","))
    parser.add_argument("--quick", action="store_true", help="no jit_compile=True, and the MLP's ratio only")
    parser.add_argument("--minutes", type=float, default=8, help="what all of it may take")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


def checked(backend: str, options: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Return what a backend is there, what failed, and which arrays differ from the CPU's."""
    names = [*CHECKS] if options.quick else [*CHECKS, "step_mlp_jit"]
    with tempfile.TemporaryDirectory() as folder:
        # A third of the time at most: the rest is for the other backend, and for the ratios.
        there, arrays = _run_checks(backend, names, Path(folder) / "there.npz", options.device, clock)
        here, expected = _run_checks(backend, names, Path(folder) / "here.npz", "cpu", clock)
    row: dict[str, Any] = {"version": there.get("version"), "devices": there.get("devices"), "warnings": []}
    if reason := _untested(backend, there.get("version") or ""):
        row["warnings"].append(reason)
    row["failed"] = {f"on {options.device}: {name}": text for name, text in there["failed"].items()}
    row["failed"] |= {f"on cpu: {name}": text for name, text in here["failed"].items()}
    if options.device == "gpu" and all(
        device.startswith("cpu") for device in there.get("devices") or ["cpu"]
    ):
        row["failed"]["device"] = f"there is no GPU; found {there.get('devices')}"
    row["equal"], row["different"] = _compared(arrays, expected)
    return row


def _run_checks(
    backend: str, names: list[str], path: Path, device: str, clock: Clock
) -> tuple[dict[str, Any], dict[str, Any]]:
    import numpy as np

    settings = {**os.environ, **SHARED, **EXACT, **(CPU if device == "cpu" else {}), "KERAS_BACKEND": backend}
    command = [sys.executable, str(HERE / "device_checks.py"), str(path), ",".join(names)]
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=clock.left() / 3)
    except subprocess.TimeoutExpired as error:
        last = (error.stderr or b"").decode().strip().splitlines()[-1:]
        return {"failed": {"time": f"over; it ran {last}"}}, {}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not path.exists():
        return {"failed": {"process": (done.stderr.strip().splitlines() or ["it ended"])[-1]}}, {}
    with np.load(path) as file:
        return json.loads(lines[-1]), {name: file[name] for name in file.files}


def _compared(arrays: dict[str, Any], expected: dict[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Return by check the largest difference, relative to each array's largest value, and what is beyond."""
    import numpy as np

    equal: dict[str, float] = {}
    different: dict[str, str] = {}
    for key in arrays.keys() & expected.keys():
        name = key.partition("/")[0]
        one, other = (np.asarray(value, "float64") for value in (arrays[key], expected[key]))
        if one.shape != other.shape:
            different[key] = f"{one.shape}, on the CPU {other.shape}"
            continue
        scale = max(1e-3, float(np.max(np.abs(other), initial=0)))
        error = float(np.max(np.abs(one - other), initial=0)) / scale
        equal[name] = max(equal.get(name, 0.0), error)
        if not error <= TOLERANCES.get(name.partition("_")[0], 1e-5):
            different[key] = f"{error:.1e} of the largest value"
    different |= dict.fromkeys(arrays.keys() ^ expected.keys(), "on one side only")
    return equal, different


def _untested(backend: str, version: str) -> str:
    """Return a warning where a version is outside the tested range, which the install line names."""
    code = f"import unikeras as uk; print(uk.backends.install_line({backend!r}))"
    line = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    low, high = (re.findall(rf"{sign}(\d+)\.(\d+)", line) for sign in (">=", "<"))
    came = re.match(r"(\d+)\.(\d+)", version)
    if not (low and high and came):
        return ""
    lowest, below, number = (tuple(map(int, pair)) for pair in (low[0], high[0], came.groups()))
    if lowest <= number < below:
        return ""
    return f"{backend} {version} is outside the tested range, {'.'.join(low[0])} to below {'.'.join(high[0])}"


def ratios(options: argparse.Namespace, clock: Clock) -> dict[str, str]:
    """Return the tables of `train_step.py`, one model at a time, as long as there is time."""
    found: dict[str, str] = {}
    ways = "auto,hand,keras_layers,keras" if options.quick else "auto,jit,hand,keras_layers,keras"
    amounts = ["--processes", "1", "--rounds", "3" if options.quick else "10", "--no-first"]
    settings = {**os.environ, **SHARED, **(CPU if options.device == "cpu" else {})}
    for model in MODELS[:1] if options.quick else MODELS:
        if clock.left() < 20:
            found[model] = f"{model}: no time was left"
            continue
        share = min(clock.left() / 2, 90.0) if model != MODELS[-1] else clock.left()
        each = share / len(options.backends)
        command = [sys.executable, str(HERE / "train_step.py"), model, "--ways", ways, *amounts]
        command += ["--backends", ",".join(options.backends), "--timeout", f"{each:.0f}"]
        command += ["--json"] if options.json else []
        done = subprocess.run(command, env=settings, capture_output=True, text=True)
        found[model] = done.stdout.strip() or done.stderr.strip()[-600:]
    if options.json:
        return {name: json.loads(text) if text.startswith("{") else text for name, text in found.items()}
    return found


def _text_of(name: str, row: dict[str, Any]) -> str:
    lines = [
        f"{name} {row['version']} on {row['devices']}",
        *(f"  warning: {text}" for text in row["warnings"]),
    ]
    lines += [f"  {check:24s} equal within {error:.1e}" for check, error in sorted(row["equal"].items())]
    lines += [f"  DIFFERS {key}: {text}" for key, text in sorted(row["different"].items())]
    lines += [f"  FAILED {key}: {text}" for key, text in sorted(row["failed"].items())]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
