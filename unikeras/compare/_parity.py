"""Compare a model with itself on other backends, or with something else on this one, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unikeras import backends as known_backends
from unikeras import export, workers
from unikeras._base.text import brief
from unikeras.compare._counterparts import KERAS_SUFFIXES, Counterpart, counterpart_of
from unikeras.compare._gaps import Tolerance
from unikeras.compare._parity_report import Difference, LayerRow, ParityReport, SideRow
from unikeras.compare._prepared_model import PreparedModel, prepare
from unikeras.compare._side_records import SideRun
from unikeras.compare._side_run import run_side
from unikeras.compare._verdict import Verdict
from unikeras.errors import ArgumentError, ArgumentValueError, ParityError, UnikerasError, WorkerError


def parity(
    model: Any,
    x: Any = None,
    y: Any = None,
    backends: str | Sequence[str] | None = None,
    against: Any = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    steps: int = 5,
    seed: int = 0,
    same_weights: bool = False,
    timeout: float | None = None,
    trust: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> ParityReport:
    """Find the first layer where two sides differ, or say how equal they are.

    Each side runs the same copy of the model on the same data: the forward pass, the loss, the gradients and some
    training steps. Outputs, gradients, and what each step leaves (weights, moving statistics, optimizer slots) are
    compared layer by layer. Each layer of the second side also runs alone, on the first side's inputs, so that a layer
    that differs is told from the layers after it. Layers that draw random numbers in training, such as Dropout, run
    as in inference. Each backend runs in a process of its own; one that fails is a row with its error.

    Args:
        model: a `keras.Model`, or the path of a `.keras` file; it is not changed.
        x: inputs as for `predict`, batch first; the first 32 examples are used. Or the path of an `.npz` file with
            inputs by name, and `y`. None: seeded samples of the signature.
        y: targets as for `fit`. None: seeded ones that the model's loss takes.
        backends: names; None or `"all"`: every installed one. The one in use comes first.
        against: what to compare with on the backend in use, instead of other backends: a second Keras model, the path
            of one or of an artifact, or a `torch.nn.Module`. Of the last two the outputs are compared, and of a torch
            module the layers too where they match in order.
        rtol: two values are equal where `|a - b| <= atol + rtol * max|a|`, over the tensor. None: what the model's
            dtypes call for, 2e-5 for float32.
        atol: see `rtol`; 1e-6 for float32.
        steps: how many training steps, with the model's own optimizer and losses, or with Adam and mean squared error.
        seed: of samples and targets that are made up.
        same_weights: whether a second Keras model gets the first one's weights before the comparison.
        timeout: seconds for each backend; None for no limit.
        trust: whether an artifact may run what its maker wrote.
        progress: called as a side begins, with its name, how many sides are done, and how many there are.

    Returns:
        A `ParityReport`: `.equal`, `.first`, `.table()`, `.plot()`, `.save("report.html")`.

    Raises:
        ArgumentError: an argument is of another type, or the model cannot be saved and loaded.
        ArgumentValueError: backends are named twice or too few, the model is not built and there is no x, or the
            data does not fit the losses; all problems with the backends at once.
        UnknownBackend: no backend has this name.
        BackendUnavailable: a backend's framework is not installed.
        DatasetError: the `.npz` file cannot be read.
        SignatureError: the data, a second model or an artifact does not fit the inputs of the model.

    Example:
        >>> import keras
        >>> import unikeras as uk
        >>> def build(slope):
        ...     keras.utils.set_random_seed(0)
        ...     x = keras.Input((3,))
        ...     h = keras.layers.LeakyReLU(slope, name="bend")(keras.layers.Dense(4, name="dense")(x))
        ...     return keras.Model(x, h, name=f"slope_{slope:g}".replace(".", "_"))
        >>> report = uk.compare.parity(build(0.3), against=build(0.2), steps=0)
        >>> report.equal, report.first.layer, report.first.phase
        (False, 'bend', 'forward')
    """
    _check_numbers(steps, rtol, atol)
    if against is not None:
        _check_alone(backends)
        return _with_counterpart(
            model, x, y, against, (rtol, atol), steps, seed, same_weights, trust, progress
        )
    names = _names_of(backends)
    model = _loaded(model)
    prepared = prepare(model, x, y, (rtol, atol), seed, steps > 0)
    sides = _Sides(prepared)
    announce = progress or (lambda name, done, total: None)

    def run_in(backend: str) -> Callable[[SideRun | None], Any]:
        return lambda first: workers.call(
            backend, run_side, (prepared.model, prepared.samples, steps, first), timeout=timeout
        )

    for number, name in enumerate(names):
        announce(name, number, len(names))
        sides.add(name, run_in(name))
    return sides.report(model.name)


def assert_parity(
    model: Any,
    x: Any = None,
    y: Any = None,
    backends: str | Sequence[str] | None = None,
    against: Any = None,
    **options: Any,
) -> None:
    """Fail a test where two sides differ; the message has the first difference and the table.

    Args:
        model: as for `parity`.
        x: as for `parity`.
        y: as for `parity`.
        backends: as for `parity`.
        against: as for `parity`.
        **options: the other arguments of `parity`.

    Raises:
        ParityError: two sides differ beyond the tolerance, or one did not finish. It is an AssertionError; `.report` is
            what `parity` returned.
        UnikerasError: as for `parity`.

    Example:
        >>> import keras
        >>> import unikeras as uk
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> uk.compare.assert_parity(model, against=model, steps=0)
    """
    report = parity(model, x, y, backends, against, **options)
    if not report.equal:
        failed = [f"{side.name} failed: {side.error}" for side in report.sides if side.error]
        raise ParityError("\n".join([report.verdict, *failed, "", str(report)]), report)


class _Sides:
    """The sides of a comparison, run one after the other; the first that finishes is what others are compared with."""

    def __init__(self, prepared: PreparedModel) -> None:
        self._tolerance: Tolerance = prepared.tolerance
        self._notes = list(prepared.notes)
        self._first: tuple[str, SideRun] | None = None
        self._rows: list[SideRow] = []
        self._layers: list[LayerRow] = []
        self._differences: list[Difference] = []

    @property
    def first(self) -> SideRun | None:
        """The run that others are compared with."""
        return None if self._first is None else self._first[1]

    def add(
        self,
        name: str,
        run: Callable[[SideRun | None], Any],
        pairs: Callable[[], list[tuple[int, int]] | None] = lambda: None,
    ) -> None:
        """Run a side; a failure of its process becomes a row."""
        try:
            side: SideRun = run(self.first)
        except WorkerError as error:
            self._rows.append(SideRow(name, error=brief(error)))
            return
        losses = [step.loss for step in side.steps]
        self._rows.append(SideRow(name, side.versions, losses, side.seconds))
        self._notes += [note if self._first is None else f"{name}: {note}" for note in side.notes]
        if self._first is None:
            self._first = name, side
            return
        verdict = Verdict((self._first[0], name), self._first[1], side, self._tolerance, pairs())
        self._layers += verdict.rows()
        self._notes += verdict.notes()
        if verdict.difference is not None:
            self._differences.append(verdict.difference)

    def note(self, notes: Iterator[str]) -> None:
        """Add what the report says."""
        self._notes += notes

    def report(self, model: str) -> ParityReport:
        """Return the report of all sides."""
        return ParityReport(
            model,
            self._tolerance.rtol,
            self._tolerance.atol,
            self._rows,
            self._layers,
            self._differences,
            list(dict.fromkeys(self._notes)),
        )


def _with_counterpart(
    model: Any,
    x: Any,
    y: Any,
    against: Any,
    tolerance: tuple[float | None, float | None],
    steps: int,
    seed: int,
    same_weights: bool,
    trust: bool,
    progress: Callable[[str, int, int], None] | None,
) -> ParityReport:
    model = _loaded(model)
    counterpart = counterpart_of(against, steps, same_weights, trust, known_backends.current_name())
    prepared = prepare(model, x, y, tolerance, seed, steps > 0 and counterpart.trains, counterpart.sizes)
    name, other = _two_names(model.name, counterpart)
    found: list[Any] = []

    def run_second(first: SideRun | None) -> SideRun:
        assert first is not None
        found[:] = counterpart.run(prepared, first)
        return found[0]

    announce = progress or (lambda name, done, total: None)
    sides = _Sides(prepared)
    announce(name, 0, 2)
    # The second side may take weights and losses from the prepared model, so that the first runs on a copy.
    sides.add(name, lambda _: run_side(prepared.fresh(), prepared.samples, steps))
    announce(other, 1, 2)
    sides.add(other, run_second, lambda: found[1])
    sides.note(counterpart.remarks(model))
    return sides.report(model.name)


def _two_names(name: str, counterpart: Counterpart) -> tuple[str, str]:
    return name, counterpart.name if counterpart.name != name else f"{name} (against)"


def _loaded(model: Any) -> Any:
    if isinstance(model, str | Path):
        if Path(model).suffix.lower() not in KERAS_SUFFIXES:
            raise ArgumentError(
                f"a saved model ends in {' or '.join(KERAS_SUFFIXES)}; received {str(model)!r}"
            )
        return export.load_keras(Path(model), known_backends.current_name(), compiled=True)
    return model


def _check_numbers(steps: int, rtol: float | None, atol: float | None) -> None:
    problems = []
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        problems.append(f"steps is a whole number of 0 or more; received {steps!r}")
    problems += [
        f"{name} is a number of 0 or more; received {value!r}"
        for name, value in (("rtol", rtol), ("atol", atol))
        if value is not None and not (isinstance(value, int | float) and value >= 0)
    ]
    if problems:
        raise ArgumentValueError("; ".join(problems))


def _check_alone(backends: str | Sequence[str] | None) -> None:
    if backends is not None and backends not in (
        known_backends.current_name(),
        [known_backends.current_name()],
    ):
        raise ArgumentValueError(
            f"against= compares on the backend in use, {known_backends.current_name()}; received backends={backends!r}"
        )


def _names_of(backends: str | Sequence[str] | None) -> list[str]:
    """Return the backends to compare, the one in use first; one error names all that is wrong."""
    asked = [backends] if isinstance(backends, str) else list(backends or ["all"])
    names = known_backends.available() if asked == ["all"] else asked
    problems: list[Exception] = []
    for name in dict.fromkeys(names):
        try:
            known_backends.check(name)
        except UnikerasError as error:
            problems.append(error)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        problems.append(ArgumentValueError(f"backends name {', '.join(twice)} twice"))
    if len(set(names)) < 2:
        problems.append(
            ArgumentValueError(
                f"a comparison takes two backends; there is {', '.join(map(str, set(names))) or 'none'}. On one "
                "backend, against= compares with another model, an artifact or a torch module"
            )
        )
    if problems:
        raise type(problems[0])("; ".join(map(str, problems)))
    current = known_backends.current_name()
    return sorted(names, key=lambda name: name != current)
