"""What a call of a uk.function costs for looking at the Python values that it reads: `python benchmarks/guards.py`.

50 attributes of one object, 50 variables of an enclosing function, and 50 attributes one level down; none of them
changes between the calls. Prints microseconds a call, the best of seven.
"""

from __future__ import annotations

import timeit
import types

from unikeras.functions._captured import Captured

COUNT = 50


def attributes():
    """Return a function that reads attributes of one object."""
    box = types.SimpleNamespace(**{f"a{i}": i / 7 for i in range(COUNT)})
    return _made(" + ".join(f"box.a{i}" for i in range(COUNT)), {"box": box})


def variables():
    """Return a function that reads variables of the function around it."""
    return _made(" + ".join(f"a{i}" for i in range(COUNT)), {f"a{i}": i / 7 for i in range(COUNT)})


def objects():
    """Return a function that reads one attribute of each of many objects."""
    boxes = {f"box{i}": types.SimpleNamespace(a=i / 7) for i in range(COUNT)}
    return _made(" + ".join(f"box{i}.a" for i in range(COUNT)), boxes)


def _made(expression: str, values: dict):
    lines = [f"    {name} = values[{name!r}]" for name in values]
    source = "\n".join(["def make(values):", *lines, f"    return lambda: {expression}"])
    scope: dict = {}
    exec(source, scope)
    return scope["make"](values)


def main() -> None:
    """Measure and print."""
    for make in (attributes, variables, objects):
        captured = Captured(make())
        seen = captured.now()
        assert captured.now() is seen
        best = min(timeit.repeat(captured.now, number=20_000, repeat=7)) / 20_000
        print(f"{make.__name__:12} {len(seen.places):4} values {best * 1e6:6.2f} us a call")


if __name__ == "__main__":
    main()
