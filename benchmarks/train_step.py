"""Train steps and predictions against hand-written loops and against Keras' own, in fresh processes.

python benchmarks/train_step.py [mlp cnn lstm resnet transformer predict-cnn predict-transformer]
    --backends torch,jax  --ways auto,jit,hand,keras_layers,keras  --threads 1  --clock cpu  --json

Each process builds one model in all ways and runs rounds in turn; the processes of backends and models alternate.
A ratio is that of the medians of a process, and of those the median. `first` is the first call alone, in a process of
its own; `again` is the same in the next process, which finds what a compiler has cached on disk. `--clock cpu` counts
the CPU seconds of the process instead of the wall's; with `--threads 1` they hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from timing import clocked, environment, hold_to, machine, turns

TRAINED = ("mlp", "cnn", "lstm", "resnet", "transformer")
NAMES = (*TRAINED, "predict-cnn", "predict-transformer")
BACKENDS = ("torch", "tensorflow", "jax")
CLOCKS = ("wall", "cpu")
WAYS = ("auto", "jit", "hand", "keras_layers", "keras")
# What is divided by what.
RATIOS = (
    *(("auto", "hand"), ("auto", "keras"), ("jit", "hand")),
    *(("auto", "keras_layers"), ("keras", "hand")),
)


def main() -> None:
    options = _options()
    if options.child:
        _child(json.loads(options.child))
        return
    document = {"machine": machine(options.threads), "rounds": options.rounds, "processes": options.processes}
    with tempfile.TemporaryDirectory() as caches:
        processes = _all_rounds(options)
        firsts = _first_calls(options, Path(caches)) if options.first else {}
    document["results"] = [
        {**_result(backend, name, found), "first": firsts.get((backend, name), {})}
        for (backend, name), found in processes.items()
    ]
    document["load_after"] = [round(load, 2) for load in os.getloadavg()]
    print(json.dumps(document, indent=2) if options.json else table(document, options.clock))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    installed = [name for name in BACKENDS if find_spec(name)]
    parser.add_argument("names", nargs="*", default=[*NAMES], metavar="model", help=", ".join(NAMES))
    parser.add_argument(
        "--backends", type=_listed, default=_listed(os.environ.get("KERAS_BACKEND") or ",".join(installed))
    )
    parser.add_argument("--ways", type=_listed, default=[*WAYS], help=f"of {', '.join(WAYS)}")
    parser.add_argument("--threads", type=int, help="threads of each framework; by default its own choice")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of the table; JSON has both")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--processes", type=int, default=3, help="fresh processes for each model")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one process")
    parser.add_argument("--no-first", dest="first", action="store_false", help="no first calls")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for label, given, known in (
        ("model", options.names, NAMES),
        ("backend", options.backends, BACKENDS),
        ("way", options.ways, WAYS),
    ):
        if unknown := [one for one in given if one not in known]:
            parser.error(f"unknown {label} {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _all_rounds(options: argparse.Namespace) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {
        (backend, name): [] for name in options.names for backend in options.backends
    }
    for number, (backend, name) in itertools.product(range(options.processes), found):
        task = {"name": name, "ways": options.ways, "rounds": options.rounds, "turn": number}
        found[backend, name].append(_ask(options, backend, task))
    return found


def _first_calls(options: argparse.Namespace, caches: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return by backend, model and way the wall seconds of a first call, and of one in the next process."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    ways = [way for way in options.ways if way in ("auto", "jit", "hand")]
    for backend, name, way in itertools.product(options.backends, options.names, ways):
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(caches / f"{backend}-{name}-{way}")}
        task = {"name": name, "ways": [way], "rounds": 0, "turn": 0}
        calls = [_ask(options, backend, task, cache) for _ in range(2)]
        seconds = [call.get("ways", {}).get(way, {}).get("first_s") for call in calls]
        found.setdefault((backend, name), {})[way] = {"first_s": seconds[0], "again_s": seconds[1]}
    return found


def _ask(
    options: argparse.Namespace, backend: str, task: dict[str, Any], variables: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a task in a fresh process; return what it prints, or `error`."""
    label = f"{backend} {task['name']} {','.join(task['ways'])}"
    print(label, file=sys.stderr, flush=True)
    task["threads"] = options.threads
    command = [sys.executable, __file__, "--child", json.dumps(task)]
    settings = {**os.environ, **environment(options.threads), **(variables or {}), "KERAS_BACKEND": backend}
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {options.timeout:.0f} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(lines[-1])


def _child(task: dict[str, Any]) -> None:
    hold_to(task["threads"])
    import runs

    names = [way for way in task["ways"] if way in runs.ways()]
    start = task["turn"] % len(names) if names else 0
    ready, found = {}, {}
    for way in [*names[start:], *names[:start]]:
        try:
            calls = runs.calls_in_a_round(task["name"]) if task["rounds"] else 1
            ready[way] = runs.run_of(task["name"], way, calls)
            found[way] = {"first_s": clocked(ready[way])[0]}
        except Exception as error:  # another way may well run
            ready.pop(way, None)
            found[way] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    later = turns([*ready.values()], task["rounds"], clocked)
    for way, times in zip(ready, later, strict=True):
        for number, clock in enumerate(CLOCKS):
            found[way][f"{clock}_ms"] = [1e3 * time[number] / calls for time in times]
    print(json.dumps({"ways": {way: found[way] for way in names}}))


def _result(backend: str, name: str, processes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians and ratios of a model's processes."""
    good = [process["ways"] for process in processes if "ways" in process]
    result: dict[str, Any] = {"backend": backend, "model": name, "ms": {}, "ratios": {}}
    result["errors"] = [process["error"] for process in processes if "error" in process]
    result["errors"] += [
        f"{way}: {row['error']}" for ways in good for way, row in ways.items() if "error" in row
    ]
    for clock in CLOCKS:
        medians = [
            {
                way: statistics.median(row[f"{clock}_ms"])
                for way, row in ways.items()
                if row.get(f"{clock}_ms")
            }
            for ways in good
        ]
        result["ms"][clock] = {
            way: statistics.median(row[way] for row in medians if way in row)
            for way in WAYS
            if any(way in row for row in medians)
        }
        result["ratios"][clock] = {
            f"{above} / {below}": statistics.median(row[above] / row[below] for row in both)
            for above, below in RATIOS
            if (both := [row for row in medians if above in row and below in row])
        }
    result["rounds"] = good
    return result


def table(document: dict[str, Any], clock: str) -> str:
    """Return the document as text."""
    about = document["machine"]
    load = f"load {about['load'][0]} to {document['load_after'][0]}"
    lines = [
        f"ms per step by the {clock} clock, medians; {about['processors']} processors, threads: {about['threads']}; "
        f"{load}; Python {about['python']}",
        " ".join(f"{name} {version}" for name, version in about["versions"].items()),
        "",
        " ".join(
            [f"{'':32s}", *(f"{way:>13s}" for way in WAYS), *(f"{a + ' / ' + b:>20s}" for a, b in RATIOS)]
        ),
    ]
    for row in document["results"]:
        ms, ratios = row["ms"][clock], row["ratios"][clock]
        cells = [f"{ms[way]:13.2f}" if way in ms else f"{'-':>13s}" for way in WAYS]
        keys = [f"{above} / {below}" for above, below in RATIOS]
        cells += [f"{ratios[key]:20.2f}" if key in ratios else f"{'-':>20s}" for key in keys]
        lines.append(" ".join([f"{row['backend'] + ' ' + row['model']:32s}", *cells]))
        firsts = [
            f"{way} {_shown(t['first_s'])}, then {_shown(t['again_s'])}" for way, t in row["first"].items()
        ]
        lines += [f"    first call, s: {'; '.join(firsts)}"] if firsts else []
        lines += [f"    {error}" for error in dict.fromkeys(row["errors"])]
    return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


if __name__ == "__main__":
    main()
