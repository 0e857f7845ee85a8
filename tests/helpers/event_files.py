"""Event files, read by the tensorboard package in a process where TensorFlow cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_SCRIPT = """
import json, sys
from pathlib import Path
sys.modules["tensorflow"] = None
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

everything = dict.fromkeys(("scalars", "histograms", "images", "tensors"), 0)
runs = {}
for folder in sorted({path.parent for path in Path(sys.argv[1]).rglob("*tfevents*")}):
    events = EventAccumulator(str(folder), everything).Reload()
    tags = events.Tags()
    runs[str(folder.relative_to(sys.argv[1]))] = {
        "scalars": {tag: [(one.step, repr(one.value)) for one in events.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {
            tag: [(one.step, one.histogram_value.num) for one in events.Histograms(tag)] for tag in tags["histograms"]
        },
        "images": {tag: [(one.step, one.height, one.width) for one in events.Images(tag)] for tag in tags["images"]},
        "texts": {
            tag: [one.tensor_proto.string_val[0].decode() for one in events.Tensors(tag)] for tag in tags["tensors"]
        },
        "graph": {n.name: [n.op, *n.input] for n in events.Graph().node} if tags["graph"] else None,
        "plugins": sorted({v for v in events.summary_metadata and [m.plugin_data.plugin_name
            for m in events.summary_metadata.values()]}),
    }
print(json.dumps(runs))
"""


def read(folder: Path) -> dict[str, Any]:
    """Return what each run below a folder has, by the run's path: (step, value) by kind and tag."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout.splitlines()[-1])
    for run in runs.values():
        for tag, points in run["scalars"].items():
            run["scalars"][tag] = [(step, float(value)) for step, value in points]
    return runs
