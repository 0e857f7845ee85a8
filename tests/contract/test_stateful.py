"""Memory as a value: what a model gives in chunks is what it gives at once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers

import unikeras as uk
from unikeras._specs.states import flat
from unikeras.errors import ArgumentError, ArgumentValueError, CannotStream, SignatureError

FEATURES = 3


def sequence(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def many_to_many():
    x = keras.Input((None, FEATURES))
    h = layers.LSTM(6, return_sequences=True, name="first")(x)
    return keras.Model(x, layers.Dense(2)(layers.GRU(5, return_sequences=True, name="second")(h)))


def many_to_one():
    return keras.Sequential(
        [keras.Input((None, FEATURES)), layers.LSTM(5), layers.Dropout(0.5), layers.Dense(2)]
    )


def fixed_length():
    return keras.Sequential(
        [keras.Input((8, FEATURES)), layers.LSTM(5, return_sequences=True), layers.LayerNormalization()]
    )


def nested():
    inner = keras.Sequential(
        [keras.Input((None, 4)), layers.LSTM(4, return_sequences=True, name="cell")], name="inner"
    )
    x = keras.Input((None, FEATURES))
    return keras.Model(x, layers.SimpleRNN(3, name="outer")(inner(inner(layers.Dense(4)(x)))))


def stacked_cells():
    cells = [layers.LSTMCell(4), layers.GRUCell(3), layers.SimpleRNNCell(2)]
    return keras.Sequential([keras.Input((None, FEATURES)), layers.RNN(cells, return_sequences=True)])


@keras.saving.register_keras_serializable(package="tests")
class Leaky(keras.layers.Layer):
    """Two states of which neither is the output."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.state_size, self.output_size = units, [units, 1], units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def call(self, inputs, states):
        total, count = states
        total = 0.9 * total + keras.ops.matmul(inputs, self.kernel)
        return total / (count + 1), [total, count + 1]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def custom_cell():
    return keras.Sequential([keras.Input((None, FEATURES)), layers.RNN(Leaky(4), return_sequences=True)])


def recurrent_dropout():
    return keras.Sequential(
        [keras.Input((None, FEATURES)), layers.LSTM(4, recurrent_dropout=0.3, dropout=0.2)]
    )


def last_step_taken():
    x = keras.Input((None, FEATURES))
    h = layers.LSTM(4, return_sequences=True)(x)
    return keras.Model(x, [h[:, -1], keras.ops.tanh(h) + x[..., :1], x[:, -1]])


def states_read():
    x = keras.Input((None, FEATURES))
    y, h, c = layers.LSTM(4, return_state=True, return_sequences=True)(x)
    return keras.Model(x, {"y": y, "both": layers.Concatenate()([h, c])})


def two_inputs():
    a, b = keras.Input((None, FEATURES), name="a"), keras.Input((None, 2), name="b")
    return keras.Model({"a": a, "b": b}, layers.GRU(4)(layers.Concatenate()([a, b])))


def convolutional():
    x = keras.Input((None, 4, 4, FEATURES))
    return keras.Model(x, layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True)(x))


def half_precision():
    return keras.Sequential(
        [keras.Input((None, FEATURES)), layers.GRU(4, dtype="mixed_bfloat16", return_sequences=True)]
    )


def tokens():
    x = keras.Input((None,), dtype="int32")
    h = layers.LSTM(6, return_sequences=True)(layers.Embedding(10, 5, mask_zero=True)(x))
    return keras.Model(x, [layers.Dense(3)(h), layers.GRU(4)(h)])


def masked():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layers.Masking(),
            layers.LSTM(4, return_sequences=True),
            layers.GRU(3),
        ]
    )


MODELS = [
    many_to_many, many_to_one, fixed_length, nested, stacked_cells, custom_cell, recurrent_dropout, last_step_taken,
    states_read, two_inputs, convolutional, half_precision, tokens, masked,
]  # fmt: skip


def inputs_of(model, batch, length, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for tensor in model.inputs:
        shape = (batch, length, *tensor.shape[2:])
        if "int" in tensor.dtype:
            made.append(rng.integers(0, 10, shape))
        else:
            values = rng.normal(size=shape).astype("float32")
            values[rng.random((batch, length)) < 0.3] = 0.0  # what Masking takes for absent
            made.append(values)
    return made


def as_argument(model, leaves):
    structure = getattr(model, "_functional", model)._inputs_struct
    return dict(zip(sorted(structure), leaves, strict=True)) if isinstance(structure, dict) else leaves[0]


def in_chunks(step, model, leaves, chunks, batch):
    state, begin, outputs = step.initial_state(batch), 0, []
    for length in chunks:
        y, state = step(as_argument(model, [leaf[:, begin : begin + length] for leaf in leaves]), state)
        outputs.append([numpy(leaf) for leaf in keras.tree.flatten(y)])
        begin += length
    joined = [
        np.concatenate(parts, 1) if timed else parts[-1]
        for parts, timed in zip(zip(*outputs, strict=True), step.sequence_outputs, strict=True)
    ]
    return joined, state


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_chunks_of_any_length_give_what_the_whole_gives(make):
    model = make()
    step = uk.stateful(model)
    leaves = inputs_of(model, 2, 8)
    whole = [numpy(leaf) for leaf in keras.tree.flatten(model(as_argument(model, leaves)))]
    tolerance = 2e-2 if "bfloat16" in model.compute_dtype or make is half_precision else 1e-5
    joined, _ = in_chunks(step, model, leaves, (1, 1, 3, 3), 2)
    for one, other in zip(joined, whole, strict=True):
        np.testing.assert_allclose(one.astype("float64"), other.astype("float64"), atol=tolerance)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_turns_of_different_lengths_in_one_call_are_as_each_alone(make):
    model = make()
    step = uk.stateful(model)
    turns = [inputs_of(model, 1, length, seed=length) for length in (3, 1, 2)]
    arguments = [as_argument(model, leaves) for leaves in turns]
    _, begun = step(arguments[0], step.initial_state(1))
    states = [[numpy(part) for part in flat(step.states, begun)], None, None]
    outputs, after = step.turns(arguments, states)
    tolerance = 2e-2 if make is half_precision else 1e-5
    for number, x in enumerate(arguments):
        state = begun if number == 0 else step.initial_state(1)
        y, state = step(x, state)
        pairs = [*zip(keras.tree.flatten(outputs[number]), keras.tree.flatten(y), strict=True)]
        pairs += zip(after[number], flat(step.states, state), strict=True)
        for one, other in pairs:
            assert isinstance(one, np.ndarray)
            assert one.shape == tuple(other.shape)
            np.testing.assert_allclose(one.astype("float64"), numpy(other).astype("float64"), atol=tolerance)


def test_the_state_is_named_by_the_layers_paths():
    state = uk.stateful(many_to_many()).initial_state(batch_size=2)
    assert {path: {name: part.shape for name, part in parts.items()} for path, parts in state.items()} == {
        "first": {"h": (2, 6), "c": (2, 6)},
        "second": {"h": (2, 5)},
    }
    assert list(uk.stateful(nested()).initial_state(1)) == ["inner/cell", "inner/cell_1", "outer"]
    assert [list(parts) for parts in uk.stateful(stacked_cells()).initial_state(1).values()] == [
        ["0/h", "0/c", "1/h", "2/h"]
    ]
    assert [list(parts) for parts in uk.stateful(custom_cell()).initial_state(1).values()] == [["0", "1"]]


def test_any_batch_size_and_a_state_as_numpy_arrays():
    model = many_to_one()
    step = uk.stateful(model)
    x = sequence(5, 9, FEATURES)
    _, state = step(x[:, :4], step.initial_state(5))
    held = {path: {name: numpy(part) for name, part in parts.items()} for path, parts in state.items()}
    row = {path: {name: part[3:4] for name, part in parts.items()} for path, parts in held.items()}
    y, _ = step(x[3:4, 4:], row)
    np.testing.assert_allclose(numpy(y), numpy(model(x))[3:4], atol=1e-5)
    before = {path: {name: part.copy() for name, part in parts.items()} for path, parts in held.items()}
    step(x[:, 4:], held)
    keras.tree.map_structure(np.testing.assert_array_equal, held, before)


def test_it_is_compiled_and_shares_the_weights():
    model = many_to_one()
    step = uk.stateful(model)
    x = sequence(2, 4, FEATURES)
    y, state = step(x, step.initial_state(2))
    step(x, state)
    if step._run.trace_count:
        assert step._run.trace_count == 1
    model.layers[0].cell.kernel.assign(model.layers[0].cell.kernel * 2)
    again, _ = step(x, step.initial_state(2))
    np.testing.assert_allclose(numpy(again), numpy(model(x)), atol=1e-5)
    assert np.abs(numpy(again) - numpy(y)).max() > 1e-3
    assert [v.path for v in step.model.weights] == [v.path for v in model.weights]


def test_the_model_itself_is_left_as_it_was(tmp_path):
    model = nested()
    config, count = model.get_config(), len(model.layers)
    uk.stateful(model)
    assert model.get_config() == config
    assert len(model.layers) == count
    model.save(tmp_path / "m.keras")
    x = sequence(2, 4, FEATURES)
    np.testing.assert_allclose(
        numpy(keras.saving.load_model(tmp_path / "m.keras")(x)), numpy(model(x)), atol=1e-6
    )


def test_a_layer_that_remembers_by_itself_is_not_touched():
    model = keras.Sequential([keras.Input(batch_shape=(2, None, FEATURES)), layers.LSTM(4, stateful=True)])
    x = sequence(3, 6, FEATURES)
    step = uk.stateful(model)
    y, _ = step(x, step.initial_state(3))
    assert y.shape == (3, 4)
    assert not any(numpy(part).any() for part in model.layers[0].states)


def test_gradients_reach_the_weights_and_the_state():
    model = many_to_one()
    step = uk.stateful(model)
    x = sequence(2, 6, FEATURES)
    with uk.GradientTape() as tape:
        loss = keras.ops.mean(model(x, training=False) ** 2)
    expected = tape.gradient(loss, model.trainable_variables)
    with uk.GradientTape() as tape:
        _, state = step(x[:, :3], step.initial_state(2))
        y, _ = step(x[:, 3:], state)
        loss = keras.ops.mean(y**2)
    for one, other in zip(tape.gradient(loss, model.trainable_variables), expected, strict=True):
        np.testing.assert_allclose(numpy(one), numpy(other), atol=1e-5)

    def of_state(h):
        y, _ = step(
            x, {"lstm": {"h": h, "c": h}} if "lstm" in state else {next(iter(state)): {"h": h, "c": h}}
        )
        return keras.ops.sum(y)

    gradient = uk.grad(of_state)(keras.ops.zeros((2, 5)))
    assert numpy(keras.ops.max(keras.ops.abs(gradient))) > 0


def test_training_is_handed_on():
    step = uk.stateful(many_to_one())
    x = sequence(2, 6, FEATURES)
    quiet = [numpy(step(x, step.initial_state(2))[0]) for _ in range(2)]
    loud = [numpy(step(x, step.initial_state(2), training=True)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert (loud[0] != loud[1]).any()


def refused(layer, shape=(None, FEATURES), before=None):
    first = [keras.Input(shape), *([before] if before else [layers.LSTM(4, return_sequences=True)])]
    return keras.Sequential([*first, layer, layers.GRU(3)]) if len(shape) == 2 else None


def attending():
    x = keras.Input((None, FEATURES))
    h = layers.LSTM(4, return_sequences=True)(x)
    return keras.Model(x, layers.MultiHeadAttention(2, 2, name="mixes")(h, h))


def residual_of_zeros():
    """Begins as the identity, so that only other weights show what it does."""
    x = keras.Input((None, FEATURES))
    h = layers.LSTM(4, return_sequences=True)(x)
    return keras.Model(
        x, h + layers.Conv1D(4, 3, padding="causal", kernel_initializer="zeros", name="mixes")(h)
    )


def decoder():
    x = keras.Input((None, FEATURES))
    _, h, c = layers.LSTM(4, return_state=True)(x)
    return keras.Model(x, layers.LSTM(4, name="mixes")(x, initial_state=[h, c]))


def pooled():
    x = keras.Input((None, FEATURES))
    return keras.Model(
        x, layers.GlobalAveragePooling1D(name="mixes")(layers.LSTM(4, return_sequences=True)(x))
    )


def summed():
    x = keras.Input((None, FEATURES))
    return keras.Model(x, keras.ops.mean(layers.LSTM(4, return_sequences=True)(x), axis=1))


REFUSED = {
    "convolution": lambda: refused(layers.Conv1D(4, 3, padding="causal", name="mixes")),
    "zeros": residual_of_zeros,
    "attention": attending,
    "pooling": lambda: refused(layers.MaxPooling1D(2, name="mixes")),
    "global pooling": pooled,
    "bidirectional": lambda: refused(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="mixes")
    ),
    "backwards": lambda: refused(layers.GRU(3, go_backwards=True, return_sequences=True, name="mixes")),
    "decoder": decoder,
    "normalized over time": lambda: refused(
        layers.LayerNormalization(axis=[1, 2], name="mixes"), (6, FEATURES)
    ),
    "flattened": lambda: keras.Sequential(
        [
            keras.Input((6, FEATURES)),
            layers.LSTM(3, return_sequences=True),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="mixes"),
        ]
    ),
    "masked custom cell": lambda: refused(
        layers.RNN(Leaky(3), return_sequences=True, name="mixes"), before=layers.Masking()
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_mixes_time_is_refused_by_name(kind):
    with pytest.raises(CannotStream, match=r"mixes|flat") as caught:
        uk.stateful(REFUSED[kind]())
    assert caught.value.layer in ("mixes", "flat")
    assert "in chunks would give other numbers" in str(caught.value)


def test_an_operation_over_time_is_refused():
    with pytest.raises(CannotStream, match="Mean"):
        uk.stateful(summed())


def test_other_models_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ArgumentError, match=r"received .*Own.*keras\.Sequential"):
        uk.stateful(Own())
    with pytest.raises(ArgumentError, match="received int"):
        uk.stateful(3)
    with pytest.raises(ArgumentValueError, match="no recurrent layer"):
        uk.stateful(keras.Sequential([keras.Input((3,)), layers.Dense(2)]))
    with pytest.raises(ArgumentValueError, match="not built"):
        uk.stateful(keras.Sequential([layers.LSTM(2)]))


def test_what_does_not_fit_is_named():
    step = uk.stateful(many_to_many())
    x = sequence(2, 4, FEATURES)
    state = step.initial_state(2)
    with pytest.raises(SignatureError, match=r"lacks second/h; has third/h, which no layer does"):
        step(x, {"first": state["first"], "third": state["second"]})
    with pytest.raises(SignatureError, match=r"first/c of shape \(2, 7\).*'batch', 6"):
        step(x, {**state, "first": {**state["first"], "c": np.zeros((2, 7))}})
    with pytest.raises(SignatureError, match=r"mixes the batch sizes \[2, 3\]"):
        step(x, {**state, "second": {"h": np.zeros((3, 5))}})
    with pytest.raises(SignatureError, match="as initial_state"):
        step(x, None)
    with pytest.raises(SignatureError, match="at least one step"):
        step(x[:, :0], state)
    with pytest.raises(SignatureError, match="expected the inputs x"):
        step([x, x], state)
    with pytest.raises(ArgumentValueError, match="received 0"):
        step.initial_state(0)
    with pytest.raises(SignatureError, match=r"batch of 1; received x of shape \(2, 4, 3\)"):
        step.turns([x], [None])
    with pytest.raises(SignatureError, match="at least one step"):
        step.turns([x[:1, :0]], [None])


def test_the_fingerprint_knows_the_model_not_its_names(tmp_path):
    model = tokens()
    step = uk.stateful(model)
    model.save(tmp_path / "m.keras")
    again = tokens()
    again.set_weights(model.get_weights())
    assert [layer.name for layer in again.layers] != [layer.name for layer in model.layers]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    same = {uk.stateful(one).fingerprint for one in (model, again, loaded)}
    assert same == {step.fingerprint}
    again.layers[-1].cell.kernel.assign(again.layers[-1].cell.kernel + 1e-6)
    assert uk.stateful(again).fingerprint != step.fingerprint


def test_the_fingerprint_tells_architectures_apart():
    def build(activation, units=4):
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [keras.Input((None, FEATURES)), layers.LSTM(units), layers.Activation(activation)]
        )

    digests = [
        uk.stateful(build(*args)).fingerprint for args in (("tanh",), ("relu",), ("tanh", 5), ("tanh",))
    ]
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]
