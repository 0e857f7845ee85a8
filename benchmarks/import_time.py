"""How long `import unikeras` takes, against an empty interpreter and `import keras`.

python benchmarks/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "an empty interpreter": "pass",
    "import unikeras": "import unikeras",
    "import keras": "import keras",
}
ROUNDS = 7


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    rounds = [{name: seconds(code) for name, code in STATEMENTS.items()} for _ in range(ROUNDS)]
    for name in STATEMENTS:
        print(f"{name:22s} {1e3 * statistics.median(r[name] for r in rounds):8.0f} ms")
    own = statistics.median(r["import unikeras"] - r["an empty interpreter"] for r in rounds)
    print(f"\nimport unikeras alone  {1e3 * own:8.0f} ms   (goal: under 200)")


if __name__ == "__main__":
    main()
