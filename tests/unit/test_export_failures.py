"""Exports that must not happen: one clear error each, and nothing left under the final name or beside it."""

from __future__ import annotations

import errno
import os
import signal

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ExportError,
    ExportMismatch,
    MissingDependency,
    OutputError,
    SignatureError,
)
from unikeras.export import _export_model as _export
from unikeras.export import _export_task
from unikeras.export.readers import READERS
from unikeras.export.request.format_table import FORMATS
from unikeras.export.writers import Writer, writers_to

OFFERS = {row.format: row for row in uk.export_formats()}
WRITABLE = next((row for row in OFFERS.values() if row.available), None)
needs_a_format = pytest.mark.skipif(
    WRITABLE is None, reason="no format can be written with this backend alone"
)


@pytest.fixture
def model():
    import keras

    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, name="y")], name="small")


@pytest.fixture
def use_routes(monkeypatch):
    """Have `export_model` take these exporters, whatever the format."""

    def use(*routes):
        monkeypatch.setattr(_export, "usable_writers", lambda format, backend, verify: list(routes))

    return use


class Failing(Writer):
    """An exporter that leaves half a file and raises."""

    name, formats, backends, packages = "failing", tuple(FORMATS), (), ()

    def __init__(self, error):
        self.error = error
        self.calls = 0

    def missing(self, format):
        return None

    def write(self, model, path, order):
        self.calls += 1
        path.write_text("half")
        raise self.error


class Biased(Writer):
    """An exporter that writes the model with one bias moved."""

    name, formats, backends, packages = "biased", tuple(FORMATS), (), ()

    def __init__(self, amount):
        self.amount = amount

    def missing(self, format):
        return None

    def write(self, model, path, order):
        bias = model.layers[-1].bias
        kept = np.array(bias.numpy() if hasattr(bias, "numpy") else bias)
        bias.assign(kept + self.amount)
        try:
            _real(order.format).write(model, path, order)
        finally:
            bias.assign(kept)


def _real(format):
    return next(route for route in writers_to(format, uk.backend()) if route.missing(format) is None)


def _refused(error, message, folder, *args, **options):
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=message) as caught:
        uk.export_model(*args, **options)
    assert sorted(folder.rglob("*")) == before
    return caught.value


@pytest.mark.parametrize("what", ["model", None, lambda x: x])
def test_what_is_no_model_is_refused(tmp_path, what):
    _refused(
        ArgumentError,
        r"takes a keras.Model, or uk.stateful\(model\); received",
        tmp_path,
        what,
        tmp_path / "m.onnx",
    )


def test_an_unbuilt_model_is_refused(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Dense(2)], name="empty")
    message = "model 'empty' is not built, so it has no weights yet; call it once on data"
    _refused(ExportError, message, tmp_path, model, tmp_path / "m.onnx")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_stateful_layer_is_refused_by_name(tmp_path, wrapped):
    import keras

    layer = keras.layers.LSTM(2, stateful=True, name="memory")
    layer = keras.layers.Bidirectional(layer, name="both") if wrapped else layer
    model = keras.Sequential([keras.Input((3, 2), batch_size=1), layer], name="chat")
    name = "both" if wrapped else "memory"
    message = rf"layer '{name}' of model 'chat' is stateful: .*; export uk.stateful\(model\), which takes"
    _refused(ExportError, message, tmp_path, model, tmp_path / "m.onnx")


def test_a_call_with_several_arguments_is_refused(tmp_path, use_routes):
    import keras

    class Two(keras.Model):
        def call(self, a, b):
            return a + b

    model = Two(name="two")
    model(np.ones((1, 2)), np.ones((1, 2)))
    use_routes(Failing(ValueError()))
    _refused(
        ExportError, r"takes several arguments \(a, b\)", tmp_path, model, tmp_path / "m.onnx", verify=False
    )


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", [-1, "1e-4", float("nan")])
def test_tolerances_are_numbers(tmp_path, model, name, value):
    message = f"{name} has to be a number of 0 or more; received"
    error = ArgumentError if isinstance(value, str) else ArgumentValueError
    _refused(error, message, tmp_path, model, tmp_path / "m.onnx", **{name: value})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"z": None}, "signature names z; the model's inputs are x"),
        ({"x": (None, 4)}, "has to be a keras.InputSpec"),
        ({"x": "rank"}, r"signature\['x'\] has shape \(None, 4, 1\); the model takes \(None, 4\)"),
    ],
)
def test_a_signature_has_to_fit(tmp_path, model, use_routes, wanted, message):
    import keras

    if wanted.get("x") == "rank":
        wanted = {"x": keras.InputSpec(shape=(None, 4, 1), dtype="float32")}
    use_routes(Failing(ValueError()))
    _refused(SignatureError, message, tmp_path, model, tmp_path / "m.onnx", signature=wanted)


def test_a_signature_that_the_model_cannot_take_is_refused(tmp_path, model, use_routes):
    import keras

    use_routes(Failing(ValueError()))
    wide = {"x": keras.InputSpec(shape=(None, 5), dtype="float32")}
    message = "model 'small' does not run on inputs of its signature"
    _refused(ExportError, message, tmp_path, model, tmp_path / "m.onnx", signature=wide)


def test_what_stands_there_stays(tmp_path, model, use_routes):
    use_routes(Failing(ValueError()))
    (tmp_path / "m.onnx").write_text("precious")
    _refused(OutputError, "pass overwrite=True", tmp_path, model, tmp_path / "m.onnx")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("precious")
    message = "is no earlier export by unikeras"
    _refused(OutputError, message, tmp_path, model, tmp_path / "folder", overwrite=True)


def test_a_failed_export_leaves_the_earlier_one(tmp_path, model, use_routes):
    use_routes(Failing(ValueError("no")))
    (tmp_path / "m.onnx").write_text("earlier")
    _refused(ExportError, "no", tmp_path, model, tmp_path / "m.onnx", overwrite=True)
    assert (tmp_path / "m.onnx").read_text() == "earlier"


def test_a_path_that_cannot_be_written_to_is_told(tmp_path, model, use_routes):
    use_routes(Failing(ValueError()))
    (tmp_path / "file").write_text("x")
    _refused(OutputError, "cannot write to", tmp_path, model, tmp_path / "file" / "m.onnx")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_ends_the_export_at_once(tmp_path, model, use_routes, number):
    first, second = Failing(OSError(number, os.strerror(number))), Failing(ValueError())
    use_routes(first, second)
    message = rf"cannot write .*m.onnx: OSError: .*{os.strerror(number)}"
    _refused(OutputError, message, tmp_path, model, tmp_path / "m.onnx")
    assert (first.calls, second.calls) == (1, 0)


def test_a_full_disk_is_known_by_its_words_too(tmp_path, model, use_routes):
    use_routes(Failing(RuntimeError("write failed; No space left on device")))
    _refused(OutputError, "No space left on device", tmp_path, model, tmp_path / "m.onnx")


def test_every_route_is_told_with_its_reason(tmp_path, model, use_routes):
    use_routes(Failing(ValueError("first\nline")), Failing(RuntimeError("\x1b[1msecond\x1b[0m")))
    error = _refused(
        ExportError, "model 'small' could not be exported as onnx", tmp_path, model, tmp_path / "m.onnx"
    )
    assert str(error).splitlines()[1:] == ["  failing: ValueError: first", "  failing: RuntimeError: second"]
    assert type(error) is ExportError
    (artifact,) = error.report.artifacts
    assert [passed.reason for passed in artifact.passed_over] == ["ValueError: first", "RuntimeError: second"]
    assert (artifact.size, artifact.route, artifact.verified_at) == (None, None, [])
    assert artifact.error == str(error)


@needs_a_format
def test_the_next_route_takes_over(tmp_path, model, use_routes):
    use_routes(Failing(ValueError("no")), Biased(1.0), _real(WRITABLE.format))
    path = tmp_path / f"m{WRITABLE.suffix}"
    (done,) = uk.export_model(model, path).artifacts
    assert done.route == _real(WRITABLE.format).name
    assert [passed.route for passed in done.passed_over] == ["failing", "biased"]
    assert "output 'y' at batch 1 is" in done.passed_over[1].reason
    assert list(tmp_path.iterdir()) == [path]


@needs_a_format
@pytest.mark.parametrize("others", [[], [Failing(ValueError("no"))]])
def test_an_artifact_that_differs_is_deleted(tmp_path, model, use_routes, others):
    use_routes(Biased(1e-3), *others)
    path = tmp_path / f"m{WRITABLE.suffix}"
    error = _refused(
        ExportMismatch, r"at index \(0, \d\); 3 of 3 values differ by more than", tmp_path, model, path
    )
    assert error.report.artifacts[0].max_error is None


@needs_a_format
def test_tolerances_decide(tmp_path, model, use_routes):
    use_routes(Biased(1e-3))
    (done,) = uk.export_model(model, tmp_path / f"m{WRITABLE.suffix}", atol=1e-2).artifacts
    assert done.max_error == pytest.approx(1e-3, rel=1e-2)


def _crash(path, rounds, stretch):
    os.kill(os.getpid(), signal.SIGSEGV)


@needs_a_format
def test_a_runtime_that_crashes_takes_only_its_process_with_it(tmp_path, model, monkeypatch):
    monkeypatch.setattr(_export_task.readers, "outputs_of", _crash)
    message = "was killed by SIGSEGV"
    _refused(ExportError, message, tmp_path, model, tmp_path / f"m{WRITABLE.suffix}")


@needs_a_format
def test_of_several_formats_those_that_succeed_stay(tmp_path, model, monkeypatch):
    real = _export.usable_writers
    broken = next(name for name in FORMATS if name != WRITABLE.format)

    def routes(format, backend, verify):
        return [Failing(ValueError("no"))] if format == broken else real(format, backend, verify)

    monkeypatch.setattr(_export, "usable_writers", routes)
    with pytest.raises(ExportError, match="1 of 2 formats failed") as caught:
        uk.export_model(model, tmp_path, [broken, WRITABLE.format])
    first, second = caught.value.report.artifacts
    assert (first.error is None, second.error is None) == (False, True)
    assert [path.name for path in tmp_path.iterdir()] == [f"small{WRITABLE.suffix}"]


@needs_a_format
def test_a_runtime_that_is_missing_is_told_before_any_work(tmp_path, model, monkeypatch):
    runtime = READERS[WRITABLE.format]
    monkeypatch.setattr(
        runtime, "missing", classmethod(lambda cls: "running it needs a runtime: pip install it")
    )
    path = tmp_path / f"m{WRITABLE.suffix}"
    message = "needs a runtime: pip install it, or export with verify=False"
    _refused(MissingDependency, message, tmp_path, model, path)
    assert uk.export_model(model, path, verify=False).ok
    with pytest.raises(MissingDependency, match="needs a runtime: pip install it"):
        uk.load_artifact(path)
