"""What travels to a worker and back, and from where it can be called."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import unikeras as uk
from unikeras import workers
from unikeras.backends import _registry


@pytest.fixture(params=uk.backends.available())
def other(request):
    """The name of each backend that is installed, in turn."""
    return request.param


def backend_of_keras():
    import keras

    return keras.backend.backend(), os.environ["KERAS_BACKEND"], os.getpid()


def test_runs_under_the_backend_asked_for(other):
    name, variable, pid = uk.run_on(other, backend_of_keras)
    assert name == variable == other
    assert pid != os.getpid()


def test_stays_warm(here):
    assert uk.run_on(here, os.getpid) == uk.run_on(here, os.getpid)


def test_plain_worker_does_not_inherit_a_backend(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "the-callers")
    workers.shutdown()
    # What `import unikeras` chooses where nobody did is another matter.
    assert workers.call(None, os.getenv, ("KERAS_BACKEND",)) in (None, *_registry.available())
    workers.shutdown()


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


@pytest.mark.parametrize("module", ["tensorflow", "jax.numpy", "torch"])
def test_tensors_of_a_framework_that_keras_does_not_run_on_arrive_as_numpy(here, module):
    if module.partition(".")[0] not in uk.backends.available():
        pytest.skip(f"{module} is not installed")
    back = uk.run_on(here, lambda: importlib.import_module(module).ones((2,)))
    assert type(back) is np.ndarray
    assert back.tolist() == [1, 1]


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


def test_functions_of_a_module_beside_the_script_are_found(tmp_path, run_script):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "helper.py").write_text("def f(x):\n    return x + 1\n")
    code = """
        import sys, unikeras as uk
        uk.run_on(uk.backends.available()[0], len, "")
        sys.path.append("package")
        import helper
        print(uk.run_on(uk.backends.available()[0], helper.f, 1))
    """
    assert run_script(code) == "2\n"


def test_functions_of_a_module_that_no_import_finds_travel_by_value(tmp_path, run_script):
    """Test runners and plug-in loaders make such modules from a file."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "file.py").write_text(
        "def g(x):\n    return x + 1\n\ndef f(x):\n    return g(x)\n"
    )
    code = """
        import importlib.util, sys, unikeras as uk
        spec = importlib.util.spec_from_file_location("plugins.made_up", "plugins/file.py")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        print(uk.run_on(uk.backends.available()[0], module.f, 1))
    """
    assert run_script(code) == "2\n"


def test_files_of_the_working_directory_shadow_nothing(tmp_path, run_script):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pickle.py").write_text("raise RuntimeError('shadowed')\n")
    code = """
        import os, unikeras as uk
        os.chdir("elsewhere")
        print(os.path.basename(uk.run_on(uk.backends.available()[0], os.getcwd)))
        os.chdir("..")
        print(os.path.basename(uk.run_on(uk.backends.available()[0], os.getcwd)))
    """
    assert run_script(code).split() == ["elsewhere", tmp_path.name]


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


def test_script_without_a_guard_runs_once(tmp_path, run_script):
    assert run_script(MAIN) == "3 True\n"
    assert (tmp_path / "runs.txt").read_text() == "run\n"


def test_from_the_command_line(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(MAIN)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "3 True\n"


def test_from_executed_code(run_script):
    """A notebook runs its cells so: no file, no module to import."""
    code = f"exec(compile({textwrap.dedent(MAIN)!r}, '<cell>', 'exec'), {{'__name__': '__main__'}})"
    assert run_script(code) == "3 True\n"


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


def test_custom_layer_of_a_script_travels_both_ways(run_script):
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
    assert run_script(code) == "equal\n"


def test_output_of_the_function_appears_here(run_script):
    code = """
        import unikeras as uk
        uk.run_on(uk.backends.available()[0], print, "from the worker")
        print("from here")
    """
    assert run_script(code) == "from the worker\nfrom here\n"


def test_input_is_left_to_the_caller(start_script):
    code = """
        import sys, unikeras as uk

        def f():
            return sys.stdin.read()

        print(repr(uk.run_on(uk.backends.available()[0], f)), input())
    """
    process = start_script(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.communicate("line\n", timeout=60)[0] == "'' line\n"


def test_import_and_call_load_neither_keras_nor_numpy(run_script):
    code = """
        import sys, unikeras.workers
        from unikeras.backends import available
        unikeras.workers.run_on(available()[0], len, "abc")
        print([name for name in ("keras", "numpy", "torch", "jax", "tensorflow") if name in sys.modules])
    """
    assert run_script(code) == "[]\n"


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


def test_a_forked_process_has_workers_of_its_own(run_script):
    code = """
        import os, unikeras as uk
        name = uk.backends.available()[0]
        mine = uk.run_on(name, os.getpid)
        child = os.fork()
        if child == 0:
            os._exit(7 if uk.run_on(name, os.getpid) != mine else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), uk.run_on(name, os.getpid) == mine)
    """
    assert run_script(code) == "7 True\n"
