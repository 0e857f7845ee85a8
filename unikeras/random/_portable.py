"""The switch: where random numbers are portable, and where their seeds come from."""

from __future__ import annotations

import contextlib
import operator
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._specs.threefry import host_words
from unikeras.errors import ArgumentError, ArgumentValueError, StateError
from unikeras.random._seeds import PortableSeed, nth_seed

ALGORITHMS = ("threefry2x32",)
_MARK = "_draws_portably"
_lock = threading.RLock()
_open: list[Portable] = []  # the last one counts
_thread = threading.local()


class Portable:
    """Portable random numbers, from a seed, for the whole process, until `close`; made by `uk.random.portable`.

    Attributes:
        seed: where they start from.
        algorithm: the name of the generator, with its version.
    """

    def __init__(self, seed: int, algorithm: str) -> None:
        self.seed = seed
        self.algorithm = algorithm
        self._objects = 0
        self._closed = False
        self._generators = threading.local()
        self._generators.own = _make_generator(nth_seed(seed, 0))
        self._give_back = _seed_all(seed)
        with _lock:
            _open.append(self)

    @property
    def state(self) -> dict[str, Any]:
        """How far it is: the seed, how many objects got a seed, and the position of this thread's draws without one."""
        position = backends.current().to_numpy(self.generator().state.value)
        return {
            "algorithm": self.algorithm,
            "seed": self.seed,
            "objects": self._objects,
            "draws": [int(word) for word in position],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another one was.

        Args:
            state: what `state` was.

        Raises:
            ArgumentValueError: it is not such a state, or of another algorithm.
        """
        try:
            seed, objects = _check_seed(state["seed"]), operator.index(state["objects"])
            first, second = (operator.index(word) for word in state["draws"])
            algorithm = state["algorithm"]
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentValueError(f"this is no state of portable random numbers: {state!r}") from error
        if algorithm != self.algorithm:
            raise ArgumentValueError(f"the state is of the algorithm {algorithm!r}, not {self.algorithm!r}")
        self.seed, self._objects = seed, objects
        self.generator().state.assign(np.array([first, second]))

    def close(self) -> None:
        """Let Keras draw by itself again, and give the former generators back; those inside are closed first.

        What was made inside keeps its draws. A second call does nothing.
        """
        with _lock:
            while not self._closed:
                last = _open.pop()
                last._closed = True
                last._give_back()

    def __enter__(self) -> Portable:
        if self._closed:
            raise StateError(
                "these portable random numbers are closed; begin new ones by uk.random.portable(seed)"
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<uk.random.portable({self.seed}, algorithm={self.algorithm!r})>"

    def next_seed(self) -> int:
        """Return the seed of the next object that was given none."""
        with _lock:
            self._objects += 1
            return PortableSeed(nth_seed(self.seed, self._objects))

    def generator(self) -> Any:
        """Return what this thread draws from without a seed; another thread's counts as an object of its own."""
        if not hasattr(self._generators, "own"):
            self._generators.own = _make_generator(self.next_seed())
        return self._generators.own


def portable(seed: int, algorithm: str = "threefry2x32") -> Portable:
    """Draw the same random numbers on every backend, until the `with` block ends or `close()` is called.

    All of `keras.random`, initializers, and layers such as Dropout draw from one generator: that of `jax.random`, whose
    numbers Keras on JAX has for the same seeds. Initializers, layers and draws without a seed of their own start from
    `seed`: the n-th such object gets the n-th seed. Python's, numpy's and the framework's global generators are
    seeded too. At the end they get their former states back. Layers, initializers, seed generators and compiled
    functions that were made inside keep their draws. It holds for all threads.

    Args:
        seed: from 0 to 2**64 - 1.
        algorithm: `"threefry2x32"`; an algorithm never changes its numbers.

    Returns:
        A context manager with `close()`, `state` and `restore(state)`.

    Raises:
        ArgumentError: the seed is not an integer.
        ArgumentValueError: the seed is out of range, or the algorithm is not known.

    Source:
        Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011), https://doi.org/10.1145/2063384.2063405

    Example:
        >>> import keras, unikeras as uk
        >>> with uk.random.portable(7):
        ...     numbers = keras.random.randint((6,), 0, 10, seed=1)
        >>> [int(n) for n in numbers]
        [4, 5, 3, 1, 4, 4]
    """
    checked = _check_seed(seed)
    if algorithm not in ALGORITHMS:
        raise ArgumentValueError(
            f"algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, not {algorithm!r}"
        )
    _install()
    return Portable(checked, algorithm)


def current() -> Portable | None:
    """Return the innermost portable random numbers that are open, or None."""
    return _open[-1] if _open else None


def is_portable() -> bool:
    """Say whether draws and new objects are portable in this thread."""
    return bool(_open) or getattr(_thread, "depth", 0) > 0


@contextlib.contextmanager
def continued() -> Iterator[None]:
    """A context in which draws of this thread are portable: for what began inside of `portable`."""
    _thread.depth = getattr(_thread, "depth", 0) + 1
    try:
        yield
    finally:
        _thread.depth -= 1


class _Source:
    """What Keras asks; see `_keras/draws.py`."""

    def replacement(self, name: str, seed: Any) -> Callable[..., Any] | None:
        if not (is_portable() or isinstance(seed, PortableSeed) or getattr(seed, _MARK, False)):
            return None
        from unikeras.random import _distributions

        return _distributions.BY_NAME[name]

    def default_seed(self) -> int | None:
        return _open[-1].next_seed() if _open else None

    def global_generator(self) -> Any | None:
        return _open[-1].generator() if _open else None

    def claim(self, made: Any) -> None:
        if not is_portable():
            return
        if isinstance(getattr(made, "seed", None), int):
            made.seed = PortableSeed(made.seed)  # of an initializer
        else:
            setattr(made, _MARK, True)


_SOURCE = _Source()


def _install() -> None:
    from unikeras._keras import draws

    backend = backends.current()
    backend.prepare()  # its own hooks come first, so that those of draws are the outer ones
    draws.install(backend.name, _SOURCE)


def _make_generator(seed: int) -> Any:
    from unikeras._keras.draws import ordered_generator

    return ordered_generator(seed, "portable_random")


def _check_seed(seed: Any) -> int:
    if isinstance(seed, bool | np.bool_):
        raise ArgumentError(f"seed must be an integer, not {seed!r}")
    try:
        number = operator.index(seed)
    except TypeError:
        raise ArgumentError(f"seed must be an integer, not {seed!r}") from None
    if not 0 <= number < 2**64:
        raise ArgumentValueError(f"seed must be from 0 to 2**64 - 1, not {number}")
    return number


def _seed_all(seed: int) -> Callable[[], None]:
    """Seed the generators of Python, numpy and the framework; return what gives their states back."""
    backend = backends.current()
    python, arrays, framework = random.getstate(), np.random.get_state(), backend.generator_state()
    words = host_words((seed >> 32, seed & 0xFFFFFFFF), 0, 3)[0] >> np.uint32(1)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    backend.seed_generators(int(words[2]))

    def give_back() -> None:
        random.setstate(python)
        np.random.set_state(arrays)
        backend.restore_generator_state(framework)

    return give_back
