"""A recurrent model in numpy: what sessions need of a model, without Keras, and its truth in float64."""

from __future__ import annotations

import numpy as np

from unikeras._specs.states import StateSpec

FEATURES, UNITS = 3, 4


class Gru:
    """A GRU-like step with two states: y is {"all": each step's memory, "last": the last step's}.

    `units == FEATURES + 1`, and turns of UNITS steps are tested: no shape tells what a time axis is.
    """

    sequence_outputs = (True, False)

    def __init__(self, fingerprint="a" * 64, dtype="float32", units=UNITS, seed=0):
        rng = np.random.default_rng(seed)
        self.w, self.u, self.v = (rng.normal(size=(n, units)) / 2 for n in (FEATURES, units, units))
        self.begin = rng.normal(size=(2, units))  # a session does not begin with zeros
        self.states = tuple(StateSpec("gru", name, (units,), dtype) for name in "hc")
        self.fingerprint, self.dtype, self.units = fingerprint, dtype, units
        self.calls = []

    def initial_state(self, batch_size):
        from unikeras._specs.state_bytes import dtype_of

        rows = np.repeat(self.begin[:, None], batch_size, axis=1).astype(dtype_of(self.dtype))
        return {"gru": {"h": rows[0], "c": rows[1]}}

    def __call__(self, x, state):
        self.calls.append(x.shape)
        return self.run(x, state["gru"]["h"], state["gru"]["c"])

    def run(self, x, h, c):
        dtype, steps = h.dtype, []
        h, c = h.astype("float64"), c.astype("float64")
        for t in range(x.shape[1]):
            gate = 1 / (1 + np.exp(-(x[:, t] @ self.w + h @ self.u)))
            c = gate * c + (1 - gate) * np.tanh(h @ self.v + x[:, t] @ self.w)
            h = np.tanh(c) * gate
            steps.append(h)
        y = {"all": np.stack(steps, axis=1), "last": h}
        return y, {"gru": {"h": h.astype(dtype), "c": c.astype(dtype)}}

    def truth(self, *turns):
        """Return what each turn gives when all of them are one sequence, in float64."""
        whole = np.concatenate(turns, axis=1)
        h, c = (part[None] for part in self.begin)
        y, _ = self.run(whole, h, c)
        ends = np.cumsum([turn.shape[1] for turn in turns])
        return [{"all": part, "last": part[:, -1]} for part in np.split(y["all"], ends[:-1], axis=1)]


def random_turns(count, seed=0, features=FEATURES, lengths=range(1, 8)):
    """Return turns of random lengths."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, int(rng.choice(lengths)), features)) for _ in range(count)]


def assert_same(got, expected, tolerance=1e-5):
    assert set(got) == set(expected)
    for name in expected:
        assert got[name].shape == expected[name].shape
        np.testing.assert_allclose(got[name], expected[name], rtol=tolerance, atol=tolerance)
