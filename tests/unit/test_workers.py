"""The workers: what travels, what comes back, and that no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import unikeras as uk
from unikeras import workers
from unikeras.errors import (
    ArgumentError,
    BackendUnavailable,
    RemoteError,
    UnknownBackend,
    WorkerDied,
    WorkerTimeout,
)


@pytest.fixture(scope="module", autouse=True)
def _stop_workers():
    yield
    workers.shutdown()


@pytest.fixture(params=uk.backends.available())
def other(request):
    """The name of each backend that is installed, in turn."""
    return request.param


@pytest.fixture
def here():
    """The name of the backend that this test runs on."""
    return uk.backend()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")  # a zombie has ended, though nobody has waited for it
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def assert_gone(pid: int, within: float = 2.0) -> None:
    end = time.monotonic() + within
    while is_running(pid):
        assert time.monotonic() < end, f"process {pid} still runs after {within} s"
        time.sleep(0.02)


def wait_for(path: Path) -> str:
    end = time.monotonic() + 30
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end, f"{path} was never written"
        time.sleep(0.02)
    return path.read_text()


def start(folder: Path, code: str, **options) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    return subprocess.Popen([sys.executable, str(script)], cwd=folder, text=True, **options)


def run(folder: Path, code: str) -> str:
    process = start(folder, code, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def pid_from(path: Path) -> int:
    return int(wait_for(path).split()[0])


# ---------------------------------------------------------------- what travels


def backend_of_keras():
    import keras

    return keras.backend.backend(), os.environ["KERAS_BACKEND"], os.getpid()


def test_runs_under_the_backend_asked_for(other):
    name, variable, pid = uk.run_on(other, backend_of_keras)
    assert name == variable == other
    assert pid != os.getpid()


def test_stays_warm(here):
    assert uk.run_on(here, os.getpid) == uk.run_on(here, os.getpid)


def test_plain_worker_has_no_backend():
    assert workers.call(None, os.getenv, ("KERAS_BACKEND",)) is None


def test_every_name_of_an_argument_is_free(here):
    def f(**kwargs):
        return kwargs

    given = {"f": 1, "backend": 2, "name": 3, "args": 4}
    assert uk.run_on(here, f, **given) == given


def test_nested_structures_arrive_whole(here):
    shared = [1]
    value = {"a": (shared, shared), 3: {None, "x"}, "c": [b"y", 1j, range(3), slice(1, 2)]}
    back = uk.run_on(here, lambda x: x, value)
    assert back == value
    assert back["a"][0] is back["a"][1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "bool", "complex64"])
def test_tensors_arrive_as_numpy(here, dtype):
    import keras

    def add_up(x):
        assert type(x["x"][0]) is np.ndarray, type(x["x"][0])
        assert str(x["x"][0].dtype) == dtype
        return [keras.ops.convert_to_tensor(x["x"][0])]

    values = [[0, 1], [1, 0]]
    (back,) = uk.run_on(here, add_up, {"x": [keras.ops.cast(keras.ops.convert_to_tensor(values), dtype)]})
    assert type(back) is np.ndarray
    assert str(back.dtype) == dtype
    assert back.astype("complex64").tolist() == values
    back[0, 0] = 1  # a copy of one's own
    assert back[0, 0] == 1


def test_tensors_of_a_framework_that_keras_does_not_run_on_arrive_as_numpy(here):
    for name in set(uk.backends.available()) - {here}:

        def tensor(name=name):
            import unikeras as uk

            return uk.run_on(name, ones) + 0

        assert uk.run_on(here, tensor).tolist() == [1, 1]


def ones():
    import keras

    return keras.ops.ones(2)


def test_variables_arrive_as_numpy(here):
    import keras

    variable = keras.Variable([1.0, 2.0])
    assert uk.run_on(here, lambda v: (type(v).__name__, v * 2), variable)[0] == "ndarray"
    assert uk.run_on(here, lambda: variable.tolist()) == [1.0, 2.0]  # also where f closes over it
    assert isinstance(uk.run_on(here, lambda: __import__("keras").Variable([1.0])), np.ndarray)


def test_models_travel_both_ways(other):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = np.ones((8, 3), "float32"), np.zeros((8, 1), "float32")
    model.fit(x, y, verbose=0)

    def fit_once_more(model, x, y):
        before = model.predict(x, verbose=0)
        model.fit(x, y, verbose=0)
        return before, model, {"after": model.predict(x, verbose=0)}

    before, trained, predicted = uk.run_on(other, fit_once_more, model, x, y)
    np.testing.assert_allclose(before, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predicted["after"], trained.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert int(trained.optimizer.iterations) == 2
    assert isinstance(trained, keras.Model)


def test_custom_code_of_a_model_travels_with_it(here):
    import keras

    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return x * self.scale

    model = keras.Sequential([keras.Input((2,)), Scale(), keras.layers.Dense(1, activation=double)])
    model.compile("sgd", loss=double_error)
    x = np.ones((2, 2), "float32")
    back = uk.run_on(here, lambda model, x: (model, model(x)), model, x)
    np.testing.assert_allclose(back[1], model.predict(x, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(back[0].predict(x, verbose=0), back[1], rtol=1e-5)
    assert type(back[0].layers[0]) is Scale  # the same class, not a copy of it


def double(x):
    return 2 * x


def double_error(y, predicted):
    return 2 * (y - predicted)


def test_layers_travel(here):
    import keras

    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    back = uk.run_on(here, lambda layer: layer, layer)
    np.testing.assert_array_equal(back.get_weights()[0], layer.get_weights()[0])


def test_functions_of_a_module_beside_the_script_are_found(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "helper.py").write_text("def f(x):\n    return x + 1\n")
    code = """
        import sys, unikeras as uk
        sys.path.append("package")
        import helper
        print(uk.run_on(uk.backends.available()[0], helper.f, 1))
    """
    assert run(tmp_path, code) == "2\n"


def test_files_of_the_working_directory_shadow_nothing(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pickle.py").write_text("raise RuntimeError('shadowed')\n")
    code = """
        import os, unikeras as uk
        os.chdir("elsewhere")
        print(os.path.basename(uk.run_on(uk.backends.available()[0], os.getcwd)))
        os.chdir("..")
        print(os.path.basename(uk.run_on(uk.backends.available()[0], os.getcwd)))
    """
    assert run(tmp_path, code).split() == ["elsewhere", tmp_path.name]


# ---------------------------------------------------------------- from where it is called

MAIN = """
    import os, unikeras as uk
    with open("runs.txt", "a") as file:
        file.write("run\\n")

    class Point:
        def __init__(self, x):
            self.x = x

    def move(point):
        return Point(point.x + STEP)

    STEP = 2
    moved = uk.run_on(uk.backends.available()[0], move, Point(1))
    print(moved.x, type(moved) is Point)
"""


def test_script_without_a_guard_runs_once(tmp_path):
    assert run(tmp_path, MAIN) == "3 True\n"
    assert (tmp_path / "runs.txt").read_text() == "run\n"


def test_from_the_command_line(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(MAIN)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "3 True\n"


def test_from_executed_code(tmp_path):
    """A notebook runs its cells so: no file, no module to import."""
    code = f"exec(compile({textwrap.dedent(MAIN)!r}, '<cell>', 'exec'), {{'__name__': '__main__'}})"
    assert run(tmp_path, code) == "3 True\n"


def test_from_the_prompt(tmp_path):
    lines = """
        import unikeras as uk
        def f(x):
            return x + STEP

        STEP = 2
        print("answer", uk.run_on(uk.backends.available()[0], f, 1))
    """
    done = subprocess.run(
        [sys.executable, "-i"],
        input=textwrap.dedent(lines),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "answer 3" in done.stdout


def test_custom_layer_of_a_script_travels_both_ways(tmp_path):
    code = """
        import numpy as np, keras, unikeras as uk

        @keras.saving.register_keras_serializable("mine")
        class Scale(keras.layers.Layer):
            def call(self, x):
                return x * 3

        class Net(keras.Model):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.scale, self.dense = Scale(), keras.layers.Dense(1)

            def call(self, x):
                return self.dense(self.scale(x))

        net, x = Net(), np.ones((2, 3), "float32")
        expected = keras.ops.convert_to_numpy(net(x))

        def through(net, x):
            return net, net(x)

        back, y = uk.run_on(uk.backend(), through, net, x)
        assert type(back) is Net and type(back.scale) is Scale
        assert np.allclose(y, expected) and np.allclose(back.predict(x, verbose=0), expected)
        print("equal")
    """
    assert run(tmp_path, code) == "equal\n"


def test_output_of_the_function_appears_here(tmp_path):
    code = """
        import unikeras as uk
        uk.run_on(uk.backends.available()[0], print, "from the worker")
        print("from here")
    """
    assert run(tmp_path, code) == "from the worker\nfrom here\n"


def test_import_and_call_load_neither_keras_nor_numpy(tmp_path):
    code = """
        import sys, unikeras.workers
        from unikeras.backends import available
        unikeras.workers.run_on(available()[0], len, "abc")
        print([name for name in ("keras", "numpy", "torch", "jax", "tensorflow") if name in sys.modules])
    """
    assert run(tmp_path, code) == "[]\n"


def test_nested_calls_work(here):
    def outer(name):
        import unikeras as uk

        return os.getpid(), uk.run_on(name, os.getpid)

    outer_pid, inner_pid = uk.run_on(here, outer, here)
    assert len({outer_pid, inner_pid, os.getpid()}) == 3


def test_threads_share_a_worker(here):
    answers = {}

    def ask(number):
        answers[number] = uk.run_on(here, lambda x: (time.sleep(0.01), x * x)[1], number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: number * number for number in range(8)}


def test_a_forked_process_has_workers_of_its_own(tmp_path):
    code = """
        import os, unikeras as uk
        name = uk.backends.available()[0]
        mine = uk.run_on(name, os.getpid)
        child = os.fork()
        if child == 0:
            os._exit(7 if uk.run_on(name, os.getpid) != mine else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), uk.run_on(name, os.getpid) == mine)
    """
    assert run(tmp_path, code) == "7 True\n"


# ---------------------------------------------------------------- what goes wrong


def test_unknown_backend():
    with pytest.raises(UnknownBackend, match=r"unknown backend 'theano'; unikeras runs on .*torch"):
        uk.run_on("theano", len, "")


def test_backend_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("unikeras.backends._registry.available", list)
    with pytest.raises(BackendUnavailable, match=r'pip install "unikeras\[jax\]"'):
        uk.run_on("jax", len, "")


def test_what_is_no_function(here):
    with pytest.raises(ArgumentError, match="a worker runs functions; received 3"):
        uk.run_on(here, 3)


@pytest.mark.parametrize("timeout", [0, -1, "1"])
def test_timeout_that_is_no_time(here, timeout):
    with pytest.raises(ArgumentError, match="a number of seconds above 0, or None"):
        uk.run_on(here, len, "", timeout=timeout)


def fail(kind, *args):
    raise kind(*args)


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), KeyError("bad"), UnicodeDecodeError("utf8", b"bad", 0, 1, "bad"), uk.errors.TapeError("bad")],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_type(here, error):
    with pytest.raises(RemoteError, match="bad") as caught:
        uk.run_on(here, fail, type(error), *error.args)
    assert isinstance(caught.value, type(error))
    assert type(caught.value.__cause__) is type(error)
    assert caught.value.__cause__.args == error.args


def test_errors_end_in_the_traceback_from_there(here):
    with pytest.raises(ZeroDivisionError) as caught:
        uk.run_on(here, lambda: 1 / 0)
    message = str(caught.value)
    assert message.startswith(f"test_errors_end_in_the_traceback_from_there.<locals>.<lambda> on the {here} worker")
    assert message.endswith(caught.value.remote_traceback)
    assert "uk.run_on(here, lambda: 1 / 0)" in caught.value.remote_traceback
    assert caught.value.remote_traceback.endswith("ZeroDivisionError: division by zero")
    assert "_child.py" not in message
    assert caught.value.remote_type == "ZeroDivisionError"


def test_errors_keep_their_attributes(here):
    with pytest.raises(FileNotFoundError) as caught:
        uk.run_on(here, open, "/no/such/file")
    assert caught.value.filename == "/no/such/file"
    assert caught.value.errno == 2


class Awkward(Exception):
    """Cannot be made again from its `args`, which is what pickle tries."""

    def __init__(self, code, reason):
        super().__init__(f"{reason} ({code})")
        self.code = code


def test_errors_that_do_not_unpickle_keep_type_and_attributes(here):
    with pytest.raises(Awkward, match=r"broken \(3\)") as caught:
        uk.run_on(here, fail, Awkward, 3, "broken")
    assert caught.value.code == 3
    assert type(caught.value.__cause__) is Awkward


def test_errors_that_do_not_pickle_arrive_as_text(here):
    def f():
        error = ValueError("bad")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(ValueError, match="bad") as caught:
        uk.run_on(here, f)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_there_is_no_exit_here(here, kind):
    with pytest.raises(RemoteError, match=kind.__name__) as caught:
        uk.run_on(here, fail, kind, 3)
    assert not isinstance(caught.value, kind)


def test_errors_pass_through_nested_workers(here):
    def outer(name, fail):
        import unikeras as uk

        return uk.run_on(name, fail, ValueError, "deep")

    with pytest.raises(ValueError, match="deep") as caught:
        uk.run_on(here, outer, here, fail)
    assert isinstance(caught.value, RemoteError)


@pytest.mark.parametrize(
    ("args", "kwargs", "culprit"),
    [
        ((1, threading.Lock()), {}, "argument 1, of type lock"),
        ((), {"x": {"a": [1, threading.Lock()]}}, r"argument 'x'\['a'\]\[1\], of type lock"),
    ],
)
def test_what_cannot_travel_is_named(here, args, kwargs, culprit):
    with pytest.raises(ArgumentError, match=f"{culprit}, cannot be sent to another process: .*lock"):
        uk.run_on(here, print, *args, **kwargs)


def test_a_function_that_cannot_travel_is_named(here):
    lock = threading.Lock()
    with pytest.raises(ArgumentError, match="the function, of type function, cannot be sent"):
        uk.run_on(here, lambda: lock)


def test_a_result_that_cannot_travel_is_named(here):
    with pytest.raises(ArgumentError, match=r"what the function returned\['a'\], of type lock") as caught:
        uk.run_on(here, lambda: {"a": threading.Lock()})
    assert isinstance(caught.value, RemoteError)
    assert uk.run_on(here, len, "abc") == 3


def test_timeout_ends_the_process_and_what_it_started(here, tmp_path):
    def f(folder):
        child = subprocess.Popen(["sleep", "60"])
        (folder / "pids").write_text(f"{os.getpid()} {child.pid}\n")
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(WorkerTimeout, match=r"f did not return from the \w+ worker in time; it was stopped"):
        uk.run_on(here, f, tmp_path, timeout=2)
    assert time.monotonic() - began < 5
    for pid in (tmp_path / "pids").read_text().split():
        assert_gone(int(pid))
    assert uk.run_on(here, len, "abc") == 3


def test_timeout_covers_the_wait_for_another_call(here, tmp_path):
    busy = threading.Thread(target=uk.run_on, args=(here, lambda file: (file.write_text("\n"), time.sleep(2))[0]))
    busy._args += (tmp_path / "began",)
    busy.start()
    wait_for(tmp_path / "began")
    with pytest.raises(WorkerTimeout, match="is busy with another call; len never began"):
        uk.run_on(here, len, "abc", timeout=0.1)
    busy.join()  # and the other call was not disturbed


@pytest.mark.parametrize(
    ("f", "how", "code"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL", -9),
        (lambda: os.abort(), "was killed by SIGABRT", -6),
        (lambda: os._exit(3), "exited with code 3", 3),
    ],
    ids=["kill", "abort", "exit"],
)
def test_death_is_told_and_the_next_call_works(here, f, how, code):
    with pytest.raises(WorkerDied, match=f"{how}.*while it ran .*; the next call starts a fresh one") as caught:
        uk.run_on(here, f)
    assert caught.value.exit_code == code
    assert uk.run_on(here, len, "abc") == 3


def test_death_is_noticed_while_a_grandchild_holds_the_line(here):
    def f():
        if os.fork() == 0:
            time.sleep(60)
        os._exit(3)

    with pytest.raises(WorkerDied, match="exited with code 3"):
        uk.run_on(here, f, timeout=30)


def test_a_worker_that_died_between_calls_is_replaced(here):
    pid = uk.run_on(here, os.getpid)
    os.kill(pid, signal.SIGKILL)
    assert_gone(pid)
    assert uk.run_on(here, len, "abc") == 3


def test_shutdown_ends_the_workers(here):
    pid = uk.run_on(here, os.getpid)
    workers.shutdown()
    assert_gone(pid)
    assert uk.run_on(here, os.getpid) != pid


# ---------------------------------------------------------------- nothing is left behind

BUSY = """
    import os, pathlib, subprocess, sys, time, unikeras as uk

    def f(kind):
        child = subprocess.Popen(["sleep", "60"])
        pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}\\n")
        if kind == "sleep":
            time.sleep(60)
        if kind == "python":
            while True:
                pass
        if kind == "C":
            3 ** 10 ** 9  # holds the interpreter's lock all the time

    uk.run_on(uk.backends.available()[0], f, KIND)
    if KIND == "idle":
        time.sleep(60)
"""

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs F_SETSIG, which only Linux has")


@pytest.mark.parametrize("kind", ["idle", "sleep", "python", pytest.param("C", marks=only_linux)])
def test_worker_ends_when_its_owner_is_killed(tmp_path, kind):
    owner = start(tmp_path, BUSY.replace("KIND", repr(kind)))
    pids = wait_for(tmp_path / "pids").split()
    time.sleep(0.2)
    assert all(is_running(int(pid)) for pid in pids)
    owner.kill()
    owner.wait()
    for pid in pids:
        assert_gone(int(pid))


@pytest.mark.parametrize("kind", ["idle", "sleep", "python"])
def test_ctrl_c_leaves_no_process(tmp_path, kind):
    code = BUSY.replace("KIND", repr(kind))
    owner = start(tmp_path, code, start_new_session=True, stderr=subprocess.PIPE)
    pids = wait_for(tmp_path / "pids").split()
    time.sleep(0.2)
    os.killpg(owner.pid, signal.SIGINT)
    _, errors = owner.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for pid in pids:
        assert_gone(int(pid))


def test_worker_ends_with_the_interpreter(tmp_path):
    run(tmp_path, BUSY.replace('KIND == "idle"', "False").replace("KIND", "'idle'"))
    for pid in wait_for(tmp_path / "pids").split():
        assert_gone(int(pid))


def test_worker_ends_with_its_owner_though_a_fork_lives_on(tmp_path):
    code = """
        import os, pathlib, time, unikeras as uk
        pid = uk.run_on(uk.backends.available()[0], os.getpid)
        fork = os.fork()
        if fork:
            pathlib.Path("pids").write_text(f"{pid} {fork}\\n")
        time.sleep(60)
    """
    owner = start(tmp_path, code)
    worker, fork = map(int, wait_for(tmp_path / "pids").split())
    owner.kill()
    owner.wait()
    assert_gone(worker)
    os.kill(fork, signal.SIGKILL)


def test_nested_workers_end_with_the_first_owner(tmp_path):
    code = """
        import os, pathlib, time, unikeras as uk
        name = uk.backends.available()[0]

        def inner():
            pathlib.Path("pids").write_text(f"{os.getpid()} {os.getppid()}\\n")
            time.sleep(60)

        uk.run_on(name, uk.run_on, name, inner)
    """
    owner = start(tmp_path, code)
    pids = wait_for(tmp_path / "pids").split()
    owner.kill()
    owner.wait()
    for pid in pids:
        assert_gone(int(pid))
