"""Torch programs as Keras models, without torch: programs by hand, and numpy's answers."""

from __future__ import annotations

import copy
import json
import weakref

import keras
import numpy as np
import pytest
from helpers.programs_by_hand import LINEAR, answer_of_net, net, node, of, of_one, program, variable
from keras import ops

import unikeras as uk
from unikeras._specs.program_reader import read_program
from unikeras._specs.torch_program import FORMAT, ProgramTensor
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    CorruptArtifact,
    SignatureError,
    UnknownOperator,
    WeightsMismatch,
)
from unikeras.interop import ImportedModule
from unikeras.interop._program_dtypes import common_dtype
from unikeras.interop.operators import _rules as rules
from unikeras.interop.operators import refused

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def numpy(value):
    return np.array(ops.convert_to_numpy(value))


def close(value, wanted):
    np.testing.assert_allclose(numpy(value), wanted, rtol=1e-5, atol=1e-5)


@pytest.fixture
def imported():
    made, arrays = net()
    return ImportedModule(made, arrays), arrays


@pytest.fixture
def registered():
    """Rules of a test's own, removed at its end."""
    before = dict(rules._RULES)
    yield rules.register_operator
    rules._RULES.clear()
    rules._RULES.update(before)


# ---- what it computes


def test_both_modes_compute_their_graph(imported):
    model, arrays = imported
    x = floats(5, 3)
    close(model(x), answer_of_net(arrays, x))
    assert int(numpy(model.named_variables["count"])) == 7
    close(model(x, training=True), answer_of_net(arrays, x))
    assert int(numpy(model.named_variables["count"])) == 8


def test_it_stands_in_a_functional_model_and_trains_in_fit(imported):
    model, _ = imported
    inputs = keras.Input((3,))
    assert model(inputs).shape == (None, 2)
    whole = keras.Model(inputs, keras.layers.Dense(1)(model(inputs)))
    x, y = floats(8, 3), floats(8, 1)
    for one in (whole, uk.Model.from_keras(whole)):
        before = numpy(model.named_variables["fc.weight"])
        one.compile("sgd", "mse")
        one.fit(x, y, batch_size=4, verbose=0)
        assert not np.array_equal(before, numpy(model.named_variables["fc.weight"]))
    assert int(numpy(model.named_variables["count"])) == 11
    assert whole.predict(x, verbose=0).shape == (8, 1)


def test_it_trains_by_itself(imported):
    model, _ = imported
    x, y = floats(8, 3), floats(8, 2)
    for one in (model, uk.Model.from_keras(model)):
        one.compile("sgd", "mse")
        history = one.fit(x, y, epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0]


def test_the_tape_and_a_function_give_the_gradients_of_a_closed_form(imported):
    model, arrays = imported
    x = floats(5, 3)

    @uk.function
    def gradients(x):
        with uk.GradientTape() as tape:
            loss = ops.sum(model(x, training=True))
        return tape.gradient(loss, model.trainable_variables)

    hidden = np.maximum(x @ arrays["fc.weight"].T + arrays["fc.bias"], 0)
    back = (hidden > 0) * (arrays["blocks.0.out.weight"].sum(0) * arrays["blocks.0.scale"])
    wanted = [back.T @ x, back.sum(0), np.tile(hidden.sum(0) * arrays["blocks.0.scale"], (2, 1))]
    for found, one in zip(gradients(x), wanted, strict=True):
        close(found, one)
    gradients(x + 1)
    assert gradients.trace_count == 1
    assert int(numpy(model.named_variables["count"])) == 9


def test_draws_follow_the_seed():
    made, arrays = net(drop=0.5)
    model = ImportedModule(made, arrays)
    x = np.ones((16, 3), "float32")
    one, other = numpy(model(x, training=True)), numpy(model(x, training=True))
    assert not np.array_equal(one, other)
    inputs = {"x": ops.convert_to_tensor(x)}
    close(model.run(inputs, training=True, draws=False)[0], answer_of_net(arrays, x))
    again = ImportedModule(made, arrays)
    again.seed_generator.state.assign(model.seed_generator.state)
    close(again(x, training=True), numpy(model(x, training=True)))


def test_values_go_with_their_last_reader(registered):
    alive, seen = [], []

    @registered("test.made")
    def made(x):
        y = x + 1
        alive.append(weakref.ref(y))
        return y

    @registered("test.seen")
    def looked_at(x):
        seen.append([one() is not None for one in alive])
        return x * 2

    chain = [node(f"n{at}", "test.made", [of(f"n{at - 1}" if at else "x")]) for at in range(3)]
    ImportedModule(of_one(*chain, node("y", "test.seen", [of("n2")])))(ops.ones((2, 3)))
    assert seen == [[False, False, True]]


def test_outputs_keep_their_structure_and_inputs_theirs():
    tensors = [ProgramTensor(name, (None, 3), "float32") for name in ("x", "y", "z")]
    made = program(
        tensors,
        [node("s", "aten.add.Tensor", [of("x"), of("y")]), node("d", "aten.sub.Tensor", [of("s"), of("z")])],
        [of("s"), of("d"), None],
        structures=([0, [1, {"deep": 2}], None, "true"], {"sum": 0, "more": [1, 2]}),
    )
    model = ImportedModule(made)
    x, y, z = floats(4, 3), floats(4, 3), floats(4, 3)
    for call in (
        lambda: model(x, [y, {"deep": z}], None, None),
        lambda: model(x, [y, {"deep": z}]),
        lambda: model((x, [y, {"deep": z}])),
    ):
        result = call()
        close(result["sum"], x + y)
        close(result["more"][0], x + y - z)
        assert result["more"][1] is None


def test_inputs_may_come_by_name_or_in_one_list():
    tensors = [ProgramTensor("ids", (None,), "int64"), ProgramTensor("mask", (None,), "bool")]
    where = node("y", "aten.where.self", [of("mask"), of("ids"), 0], "int64")
    model = ImportedModule(program(tensors, [where], [of("y")]))
    ids, mask = np.array([1, 2, 3]), np.array([True, False, True])
    for result in (
        model(ids, mask),
        model([ids, mask]),
        model({"ids": ids, "mask": mask}),
        model(ids=ids, mask=mask),
        model(ids, mask=mask),
    ):
        assert numpy(result).tolist() == [1, 0, 3]


def test_all_problems_of_inputs_are_one_error():
    tensors = [ProgramTensor("ids", (None, 4), "int64"), ProgramTensor("x", (None, 3), "float32")]
    model = ImportedModule(program(tensors, [node("y", "aten.mul.Tensor", [of("x"), 2])], [of("y")]))
    with pytest.raises(SignatureError, match="ids has shape") as error:
        model(np.ones((2, 5), "float32"), np.ones((2, 3, 1), "float32"))
    for text in (
        "(2, 5)",
        "must have (None, 4)",
        "ids is float32, and must be int64",
        "x has shape (2, 3, 1)",
    ):
        assert text in str(error.value)
    with pytest.raises(SignatureError, match="takes 2 positional arguments, received 1"):
        model(np.ones((2, 4), "int32"))
    with pytest.raises(SignatureError, match="no argument is called 'y'"):
        model(np.ones((2, 4), "int32"), y=np.ones((2, 3), "float32"))
    with pytest.raises(SignatureError, match="axis 1 of x is dynamic, and 3 was exported"):
        model(keras.Input((4,), dtype="int32"), keras.Input((None,)))


# ---- dtypes


@pytest.mark.parametrize(
    ("operands", "wanted"),
    [
        ([((2,), "int64"), ((2,), "float32")], "float32"),
        ([((2,), "float16"), ((), "float32")], "float16"),
        ([((2,), "int32"), ((), "float64")], "float64"),
        ([((2,), "int32"), ((), "int64")], "int32"),
        ([((2,), "bool"), 3], "int64"),
        ([((2,), "int32"), 3], "int32"),
        ([((2,), "int64"), 0.5], "float32"),
        ([((2,), "float16"), ((2,), "bfloat16")], "float32"),
        ([((), "float64"), ((2,), "bfloat16"), 2.0], "bfloat16"),
        ([((2,), "uint8"), ((2,), "int8")], "int16"),
    ],
)
def test_operands_are_promoted_as_in_torch(operands, wanted):
    values = [(np.zeros(one[0]), one[1]) if isinstance(one, tuple) else (one, None) for one in operands]
    assert common_dtype(values) == wanted


def test_a_comparison_of_integers_with_a_float_compares_floats():
    model = ImportedModule(of_one(node("y", "aten.gt.Scalar", [of("x"), 0.5], "bool"), dtype="int64"))
    assert numpy(model(np.array([[0, 1, 2]]))).tolist() == [[False, True, True]]


def test_it_computes_in_torchs_dtypes_under_any_policy():
    made = of_one(node("y", "aten.mul.Tensor", [of("x"), of("w")], "bfloat16"), dtype="bfloat16",
                  variables=[variable("w", (3,), "bfloat16")])  # fmt: skip
    half = ImportedModule(made, {"w": np.array([1, 2, 3], "float32")})
    assert keras.backend.standardize_dtype(half(floats(2, 3).astype("float32")).dtype) == "bfloat16"
    assert half.named_variables["w"].dtype == "bfloat16"
    made, arrays = net()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ImportedModule(made, arrays)
        x = floats(4, 3)
        close(model(x), answer_of_net(arrays, x))
        inputs = keras.Input((3,))
        assert model(inputs).dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


# ---- variables and layers


def test_layers_are_the_modules_tree(imported, capsys):
    model, _ = imported
    assert [v.path for v in model.trainable_variables] == [
        "small_net/fc/weight",
        "small_net/fc/bias",
        "small_net/blocks/0/out/weight",
    ]
    assert model.get_layer("blocks.0.out").kind == LINEAR
    assert model.get_layer("fc") is model.layers[0]
    assert model.named_variables["tied.weight"] is model.get_layer("blocks.0.out").variables[0]
    model.summary(expand_nested=True)
    shown = capsys.readouterr().out
    assert "fc (Linear)" in shown
    assert "0 (Block)" in shown
    assert "Total params: 24" in shown or "Total params: 28" in shown


def test_layers_can_be_frozen_and_stay_it(imported):
    model, _ = imported
    model.get_layer("blocks.0").trainable = False
    assert [v.name for v in model.trainable_variables] == ["weight", "bias"]
    again = ImportedModule.from_config(model.get_config())
    assert [v.path for v in again.trainable_variables] == [v.path for v in model.trainable_variables]
    model.trainable = False
    assert not ImportedModule.from_config(model.get_config()).trainable_variables
    # What requires no gradients in the module never trains.
    model.trainable = True
    assert len(model.trainable_variables) == 3


def test_a_config_keeps_buffers_and_constants_and_starts_parameters_afresh(imported):
    model, arrays = imported
    clone = keras.models.clone_model(keras.Sequential([keras.Input((3,)), model])).layers[0]
    assert isinstance(clone, ImportedModule)
    assert int(numpy(clone.named_variables["count"])) == 7
    close(clone.named_variables["shift"], arrays["shift"])
    weight = numpy(clone.named_variables["fc.weight"])
    assert weight.any()
    assert not np.array_equal(weight, arrays["fc.weight"])


def test_a_file_loads_without_torchs_side(imported, tmp_path, run_script):
    model, arrays = imported
    x = floats(5, 3)
    model(x, training=True)
    inputs = keras.Input((3,))
    keras.Model(inputs, model(inputs)).save(tmp_path / "within.keras")
    model.save(tmp_path / "alone.keras")
    np.save(tmp_path / "x.npy", x)
    output = run_script(f"""
        import sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                torch = {keras.backend.backend() != "torch"} and name == "torch"
                if torch or name.startswith("unikeras.lowering"):
                    raise ModuleNotFoundError(f"{{name}} is not here", name=name)

        sys.meta_path.insert(0, Blocked())
        import keras, numpy as np
        import unikeras as uk

        uk.interop.ImportedModule
        x = np.load({str(tmp_path / "x.npy")!r})
        for name in ("alone", "within"):
            model = keras.saving.load_model(f"{tmp_path}/{{name}}.keras", safe_mode=True)
            print(keras.ops.convert_to_numpy(model(x)).tolist())
        sums = uk.interop.state_dict(keras.saving.load_model({str(tmp_path / "alone.keras")!r}))
        print(sums["count"].tolist())
    """)
    alone, within, count = (json.loads(line) for line in output.splitlines()[-3:])
    np.testing.assert_allclose(alone, answer_of_net(arrays, x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(within, alone, rtol=1e-6)
    assert count == 8


def test_a_state_dict_comes_back_bit_for_bit(imported):
    model, arrays = imported
    state = uk.interop.state_dict(model)
    names = ["fc.weight", "fc.bias", "blocks.0.out.weight", "tied.weight", "blocks.0.scale", "count"]
    assert list(state) == names
    assert state["count"].dtype == "int64"
    for name in names:
        assert np.array_equal(state[name], arrays[name.replace("tied", "blocks.0.out")])
    other = ImportedModule(model.program)
    report = uk.interop.load_state_dict(other, {f"module.{name}": one for name, one in state.items()})
    assert report.complete
    for name, one in uk.interop.state_dict(other).items():
        assert np.array_equal(one, state[name])


def test_a_state_dict_that_does_not_fit_is_one_error_and_changes_nothing(imported):
    model, arrays = imported
    state = uk.interop.state_dict(model)
    wrong = {**state, "fc.weight": floats(3, 4), "tied.weight": floats(2, 4), "extra": floats(1)}
    del wrong["count"]
    with pytest.raises(WeightsMismatch) as error:
        uk.interop.load_state_dict(model, wrong)
    for text in ("fc.weight has shape (4, 3)", "are one tensor", "count is missing", "no extra"):
        assert text in str(error.value)
    assert np.array_equal(numpy(model.named_variables["fc.weight"]), arrays["fc.weight"])
    report = uk.interop.load_state_dict(model, {"fc.bias": np.ones(4, "float32")}, strict=False)
    assert report.left_in_model == ["fc.weight", "blocks.0.out.weight", "blocks.0.scale", "count"]
    assert numpy(model.named_variables["fc.bias"]).tolist() == [1, 1, 1, 1]
    with pytest.raises(ArgumentValueError, match="mapping="):
        uk.interop.load_state_dict(model, state, mapping={})


# ---- sizes


def test_ranges_of_sizes_are_read_checked_and_kept():
    made, arrays = net()
    data = json.loads(json.dumps(made.to_json()))
    data["ranges"] = [{"input": "x", "axis": 0, "least": 2, "most": 5, "line": "net.py:3, in forward"}]
    model = ImportedModule(read_program(data), arrays)
    assert model(floats(5, 3)).shape == (5, 2)
    for one in (model, ImportedModule.from_config(model.get_config())):
        with pytest.raises(SignatureError, match=r"axis 0 of x is 6, and must be 2 to 5 \(net.py:3"):
            one(floats(6, 3))
    for damage in ({"axis": 1}, {"input": "y"}, {"least": 6}, {"most": "9"}, {"line": None}):
        with pytest.raises(CorruptArtifact, match=r"ranges\[0\]"):
            read_program({**data, "ranges": [{**data["ranges"][0], **damage}]})
    del data["ranges"]
    assert read_program(data) == made


# ---- operators


def test_operators_without_a_rule_are_one_error_with_their_places():
    nodes = [
        node(
            "a", "odd.one.default", [of("x")], module=("body.1", "torch.nn.Odd"), line="odd.py:7, in forward"
        ),
        node("b", "odd.other.default", [of("a")]),
        node("c", "odd.one.default", [of("b")], module=("head", "torch.nn.Odd")),
    ]
    with pytest.raises(UnknownOperator) as error:
        ImportedModule(of_one(*nodes))
    for text in (
        "odd.one.default: body.1 (torch.nn.Odd), odd.py:7, in forward; head (torch.nn.Odd)",
        "odd.other.default: the module itself",
        '@uk.interop.register_operator("odd.one")',
    ):
        assert text in str(error.value)
    assert list(error.value.operators) == ["odd.one.default", "odd.other.default"]


def test_a_refused_operator_says_why():
    nodes = [node("a", "aten.masked_select.default", [of("x")]), node("b", "odd.one.default", [of("a")])]
    with pytest.raises(UnknownOperator) as error:
        ImportedModule(of_one(*nodes))
    line, reason = str(error.value).splitlines()[1:3]
    assert line.startswith("  aten.masked_select.default: the module itself")
    assert reason.strip() == refused()["aten.masked_select"]
    assert '@uk.interop.register_operator("odd.one")' in str(error.value)


def test_a_users_rule_computes_and_is_missed_at_loading(registered, tmp_path):
    made = of_one(node("y", "odd.double.default", [of("x")]))

    @uk.interop.register_operator("odd.double")
    def double(x):
        return 2 * x

    model = ImportedModule(made)
    x = floats(2, 3)
    close(model(x), 2 * x)
    model.save(tmp_path / "model.keras")
    close(keras.saving.load_model(tmp_path / "model.keras")(x), 2 * x)
    del rules._RULES["odd.double"]
    with pytest.raises(UnknownOperator, match=r"odd\.double"):
        keras.saving.load_model(tmp_path / "model.keras")


def test_an_error_in_a_rule_says_where(registered):
    @registered("odd.broken")
    def broken(x):
        raise ValueError("no good")

    model = ImportedModule(
        of_one(node("y", "odd.broken.default", [of("x")], module=("body", "torch.nn.Odd")))
    )
    with pytest.raises(
        ValueError, match=r"no good\nin odd.broken.default of body \(torch.nn.Odd\), net.py:3"
    ):
        model(floats(2, 3))


# ---- damaged and hostile data


def test_a_program_comes_back_from_json():
    made, _ = net()
    text = json.dumps(made.to_json())
    assert read_program(text) == read_program(json.loads(text))
    assert json.dumps(read_program(text).to_json()) == text
    assert json.loads(text)["format"] == FORMAT


def paths_in(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_in(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from paths_in(inner, (*path, at))


def changed(data, path, value):
    result = copy.deepcopy(data)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return result


@pytest.mark.parametrize(
    "junk", [None, -1, 10**9, 0.5, "junk", [], [[]], {}, {"node": "absent"}, {"node": {}}, True]
)
def test_damage_is_one_named_error(junk):
    data = json.loads(json.dumps(net()[0].to_json()))
    for path in paths_in(data):
        if path:
            try:
                read_program(changed(data, path, junk))
            except CorruptArtifact as error:
                assert "no readable torch program" in str(error)  # noqa: PT017 - some changes do no harm


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("format",), 7, "format 7, and this version of unikeras reads format 1"),
        (("eval", "nodes", 0, "args", 0), {"node": "y"}, "nothing before it computes"),
        (("eval", "nodes", 0, "args", 0), {"node": "x", "more": 1}, "nothing before it computes"),
        (("eval", "nodes", 0, "operator"), "os.system('x')", "which is no name of one"),
        (("eval", "nodes", 1, "name"), "h", "name 'h' of an earlier node"),
        (("eval", "held", "fc_bias"), "absent", "holds 'absent'"),
        (("train", "writes"), ["count", "absent"], "which are no variables"),
        (("variables", 0, "shape"), [-1, 3], "the shape"),
        (("variables", 1, "name"), "fc.weight", "two of the variables"),
        (("variables", 0, "dtype"), "object", "which torch does not have"),
        (("outputs_structure",), {"a": 3}, "the leaf 3"),
    ],
)
def test_damage_names_its_place(path, value, says):
    data = json.loads(json.dumps(net()[0].to_json()))
    with pytest.raises(CorruptArtifact) as error:
        read_program(changed(data, path, value))
    assert says in str(error.value)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "null", "\ud800", b"\xff", "1e999"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(CorruptArtifact, match="no readable torch program"):
        read_program(text)


@pytest.mark.parametrize(
    "junk", [None, {}, {"dtype": "object", "bytes": ""}, {"dtype": "int64", "bytes": "%%"}, "x"]
)
def test_damaged_values_of_buffers_are_refused(imported, junk):
    config = imported[0].get_config()
    config["arrays"]["count"] = junk
    with pytest.raises(CorruptArtifact, match="count"):
        ImportedModule.from_config(config)


@pytest.mark.parametrize("names", [(), (3,), ("linear",), ("aten.linear", None), (lambda x: x,)])
def test_a_rule_needs_the_full_name_of_its_operator(names):
    known = rules.known()
    with pytest.raises(ArgumentError, match=r"such as 'aten\.linear'; received "):
        uk.interop.register_operator(*names)
    with pytest.raises(ArgumentError, match=r"the rule of odd\.one has to be a function; received 3"):
        uk.interop.register_operator("odd.one")(3)
    assert rules.known() == known
