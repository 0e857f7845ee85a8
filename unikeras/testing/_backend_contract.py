"""What every backend must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from unikeras.backends import Backend


class BackendContract:
    """Tests that every backend must pass, on small numbers: subclass it in a test file.

    The backend must be the one that Keras runs on. The tests call it as unikeras does: tensors, devices, the tape, the
    transforms, a compiled function with state, and the recurrence.

    Example:
        >>> import unikeras as uk
        >>> class TestHere(uk.testing.BackendContract):
        ...     pass
        >>> TestHere().test_there_is_a_cpu()
        >>> TestHere().test_a_tape_differentiates()
    """

    def make_backend(self) -> Backend:
        """Return the backend under test.

        Returns:
            The backend that Keras runs on; a subclass may return another one.
        """
        from unikeras import backends

        return backends.current()

    def test_it_is_the_current_backend(self) -> None:
        import unikeras as uk

        assert uk.backend() == self.make_backend().name

    def test_there_is_a_cpu(self) -> None:
        assert any(device.startswith("cpu:") for device in self.make_backend().devices())

    def test_tensors_are_told_from_everything_else(self) -> None:
        import keras
        import numpy as np

        backend, tensor = self.make_backend(), keras.ops.ones((2,))
        assert backend.is_tensor(tensor)
        for other in (keras.Variable(1.0), np.ones(2), 1.0, [tensor], None, "tensor"):
            assert not backend.is_tensor(other)

    def test_values_are_the_same_in_numpy(self) -> None:
        import keras
        import numpy as np

        for dtype in ("float32", "float16", "bfloat16", "int32", "bool", "uint8"):
            tensor = keras.ops.convert_to_tensor(np.array([0, 1, 3]), dtype=dtype)
            array = self.make_backend().to_numpy(tensor)
            assert isinstance(array, np.ndarray)
            assert array.astype("float64").tolist() == [0.0, 1.0, 1.0 if dtype == "bool" else 3.0]
            assert array.dtype.name == dtype

    def test_to_numpy_takes_tensors_that_carry_a_gradient(self) -> None:
        import keras

        assert self.make_backend().to_numpy(keras.Variable([1.0, 2.0]) * 2.0).tolist() == [2.0, 4.0]

    def test_synchronize_waits_for_any_number_of_tensors(self) -> None:
        import keras

        self.make_backend().synchronize()
        product = keras.ops.ones((1500, 1500))
        for _ in range(4):
            product = keras.ops.matmul(product, product) / 1500.0
        self.make_backend().synchronize(keras.ops.ones(()), product)
        # Where computing goes on behind a call, tensors say whether they are ready.
        assert getattr(product, "is_ready", lambda: True)()

    def test_numbers_are_not_symbolic(self) -> None:
        import keras

        assert not self.make_backend().is_symbolic(keras.ops.ones((2,)))
        assert not self.make_backend().is_tracing()

    def test_a_tape_differentiates(self) -> None:
        backend, x = self.make_backend(), _tensor([2.0, 3.0])
        tape = backend.tape(False, True)
        tape.start()
        tape.watch(x)
        y = x * x * x
        tape.stop()
        self._equal(tape.gradient([y], [x], [None])[0], [12.0, 27.0])
        tape.release()

    def test_a_tape_differentiates_with_respect_to_variables(self) -> None:
        import keras

        import unikeras as uk

        variable = keras.Variable([2.0, 3.0])
        with uk.GradientTape() as tape:
            loss = keras.ops.sum(variable * variable)
        self._equal(tape.gradient(loss, variable), [4.0, 6.0])

    def test_nothing_is_recorded_under_no_grad(self) -> None:
        backend, x = self.make_backend(), _tensor([2.0])
        tape = backend.tape(False, True)
        tape.start()
        tape.watch(x)
        with backend.no_grad():
            y = x * x
        tape.stop()
        assert tape.gradient([y], [x], [None]) == [None]

    def test_nothing_is_recorded_during_a_pause(self) -> None:
        backend, x = self.make_backend(), _tensor([2.0])
        tape = backend.tape(False, True)
        tape.start()
        tape.watch(x)
        with tape.pause():
            factor = x * x
        y = factor * x
        tape.stop()
        self._equal(tape.gradient([y], [x], [None])[0], [4.0])

    def test_the_forward_derivative(self) -> None:
        backend, x = self.make_backend(), _tensor([2.0, 3.0])
        outputs, tangents, _ = backend.jvp(
            lambda given: ([given[0] * given[0]], []), [x], [_tensor([1.0, 10.0])]
        )
        self._equal(outputs[0], [4.0, 9.0])
        self._equal(tangents[0], [4.0, 60.0])

    def test_vmap_runs_each_element(self) -> None:
        import keras

        x = _tensor([[1.0, 2.0], [3.0, 4.0]])
        outputs = self.make_backend().vmap(lambda given: [keras.ops.sum(given[0] * given[0])], [x])
        self._equal(outputs[0], [5.0, 25.0])

    def test_a_compiled_function_keeps_its_state(self) -> None:
        import keras

        import unikeras as uk

        total = keras.Variable(0.0)

        @uk.function
        def add(x: Any) -> Any:
            total.assign_add(keras.ops.sum(x))
            return total * 2.0

        self._equal(add(_tensor([1.0, 2.0])), 6.0)
        self._equal(add(_tensor([3.0, 4.0])), 20.0)
        self._equal(total.value, 10.0)

    def test_a_program_runs_more_than_once(self) -> None:
        x = _tensor([2.0, 3.0])
        program = self.make_backend().compile(
            lambda given: [given[0] * given[1]], [(2,), (2,)], [x.dtype, x.dtype], "auto"
        )
        for factor in ([1.0, 10.0], [2.0, 20.0]):
            self._equal(program.run([x, _tensor(factor)])[0], [2.0 * factor[0], 3.0 * factor[1]])

    def test_a_program_that_is_not_compiled_computes_the_same(self) -> None:
        x = _tensor([1.0, 2.0])
        program = self.make_backend().compile(lambda given: [given[0] * 2.0], [(2,)], [x.dtype], False)
        self._equal(program.run([x])[0], [2.0, 4.0])

    def test_a_gradient_hook_sees_the_gradient(self) -> None:
        backend, x = self.make_backend(), _tensor([2.0, 3.0])
        seen: list[Any] = []
        tape = backend.tape(False, True)
        tape.start()
        tape.watch(x)
        y = backend.with_gradient_hook(x * x, seen.append) * 5.0
        tape.stop()
        self._equal(tape.gradient([y], [x], [None])[0], [20.0, 30.0])
        self._equal(seen[0], [5.0, 5.0])

    def test_a_kept_value_comes_back(self) -> None:
        import keras

        variable = keras.Variable([1.0, 2.0])
        snapshot = self.make_backend().snapshot(variable)
        variable.assign([5.0, 6.0])
        snapshot.restore()
        self._equal(variable.value, [1.0, 2.0])

    def test_the_recurrence_equals_an_lstm_in_numpy(self) -> None:
        import numpy as np

        rng = np.random.default_rng(0)
        x, h, c = (rng.normal(size=size).astype("float32") for size in [(2, 4, 3), (2, 5), (2, 5)])
        weights = [rng.normal(size=size).astype("float32") for size in [(3, 20), (5, 20), (20,)]]
        masks = [None, np.array([[True, False, True, True], [False, True, False, False]])]
        for mask in masks:
            native = None if mask is None else _tensor(mask, "bool")
            inputs = [_tensor(array) for array in (x, h, c, *weights)]
            result = self.make_backend().recurrence("lstm", inputs[0], inputs[1:3], native, inputs[3:])
            if result is None:  # nothing is faster than Keras' own loop
                continue
            outputs, last = result
            wanted = _lstm(x, h, c, weights, mask)
            for received, expected in zip([outputs, *last], wanted, strict=True):
                self._equal(received, expected, atol=1e-5)

    def _equal(self, tensor: Any, expected: Any, atol: float = 1e-6) -> None:
        import numpy as np

        array = np.asarray(self.make_backend().to_numpy(tensor), "float64")
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=atol)


def _tensor(values: Any, dtype: str = "float32") -> Any:
    import keras

    return keras.ops.convert_to_tensor(values, dtype=dtype)


def _lstm(x: Any, h: Any, c: Any, weights: list[Any], mask: Any) -> list[np.ndarray[Any, Any]]:
    """Return the state h after each step, and the final states; a step that the mask leaves out changes nothing."""
    import numpy as np

    def sigmoid(z: Any) -> Any:
        return 1.0 / (1.0 + np.exp(-z))

    kernel, recurrent, bias = weights
    outputs = []
    for time in range(x.shape[1]):
        i, f, new, o = np.split(x[:, time] @ kernel + h @ recurrent + bias, 4, axis=1)
        next_c = sigmoid(f) * c + sigmoid(i) * np.tanh(new)
        next_h = sigmoid(o) * np.tanh(next_c)
        counts = np.ones((len(x), 1), bool) if mask is None else mask[:, time, None]
        h, c = np.where(counts, next_h, h), np.where(counts, next_c, c)
        outputs.append(h)
    return [np.stack(outputs, axis=1), h, c]
