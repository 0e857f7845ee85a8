"""A run is killed while it saves: the latest checkpoint loads, nothing that was told is lost, and the best one stays.

Ten rounds; two hundred with `--all`.
"""

from __future__ import annotations

import json

KILLED = """
import json, os, random, signal, time
from pathlib import Path
import numpy as np
from unikeras.training.checkpoints._best_value import BestValue
from unikeras.training.checkpoints._checkpoint_file import Content, read
from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder

BEST = BestValue("val_loss", "min")

def content(step, loss):
    return Content({"step": step, "values": {"val_loss": loss}}, {"a": np.full(step * 7919 % 60_000, step)})

def save_for_ever(say, step):
    folder, rng = CheckpointFolder(Path("run")), random.Random(step)
    while True:
        step, loss = step + 1, rng.random()
        folder.add(content(step, loss), 2, BEST)
        say(step, loss)

def killed_after(saves, part, step):
    # After so many saves, and in some part of the next one.
    inside, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            save_for_ever(lambda *what: os.write(out, (json.dumps(what) + "\\n").encode()), step)
        finally:
            os._exit(1)
    os.close(out)
    with os.fdopen(inside) as said:
        began, told = time.monotonic(), []
        for _ in range(saves):
            told.append(json.loads(said.readline()))
        time.sleep(part * (time.monotonic() - began) / max(saves, 1) if saves else part / 100)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), "the run failed by itself"
        return told + [json.loads(line) for line in said]

def checked(path):
    found = read(path)
    step = found.state["step"]
    assert found.arrays["a"].tolist() == [step] * (step * 7919 % 60_000), "torn"
    return step, found.state["values"]["val_loss"]

rng, step, best = random.Random(SEED), 0, float("inf")
counts = {"saves": 0, "kills in a save": 0, "left behind": 0}
for round_ in range(ROUNDS):
    told = killed_after(rng.randint(0, 3), rng.random(), step)
    folder = CheckpointFolder(Path("run"))
    if latest := folder.latest():
        found, loss = checked(latest)
        assert found in (told[-1][0] if told else step, (told[-1][0] if told else step) + 1), (found, told[-1:])
        best = min([best, loss, *(loss for _, loss in told)])
        assert checked(folder.best(BEST))[1] == best, "the best one is lost"
        for path in folder.files():
            checked(path)
        counts["saves"] += len(told)
        counts["kills in a save"] += found != (told[-1][0] if told else step)
        step = found
    else:
        assert not told
    names = [path.name for path in Path("run").iterdir()] if Path("run").exists() else []
    hidden = [name for name in names if name.startswith(".checkpoint")]
    counts["left behind"] += len(hidden)
    assert len(hidden) <= 1
last = CheckpointFolder(Path("run"))
last.add(content(step + 1, 1.0), 2, BEST)
left = [path.name for path in Path("run").iterdir()]
assert len(left) <= 2 + 1 + 1, left  # the newest, the best, and the lock
assert checked(last.best(BEST))[1] == best
print(json.dumps(counts))
"""


def test_a_killed_run_loses_nothing_that_it_was_told(run_script, request):
    rounds = 200 if request.config.getoption("--all") else 10
    counts = json.loads(run_script(f"ROUNDS, SEED = {rounds}, {rounds}\n{KILLED}"))
    assert counts["saves"] > 0
