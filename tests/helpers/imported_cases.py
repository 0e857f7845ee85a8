"""Modules of torch to import, and what a worker does with them."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import unikeras as uk
from unikeras.errors import ParityError
from unikeras.interop import _import_check, operators


class Of(nn.Module):
    """A module of a function of it and its parts."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def image(*shape):
    return torch.randn(*shape)


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(4, 1)

    def forward(self, x, mask=None):
        scores = self.score(x).squeeze(-1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return (torch.softmax(scores, -1).unsqueeze(-1) * x).sum(1)


def with_counter():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
            self.register_buffer("mean", torch.zeros(3))
            self.register_buffer("weights", torch.arange(3.0), persistent=False)

        def forward(self, x):
            if self.training:
                self.calls += 1
                self.mean.mul_(0.9).add_(0.1 * x.mean(0).detach())
            return self.fc(x - self.mean) * self.weights

    return Counting()


def tied():
    module = Of(
        lambda m, ids: m.out(torch.tanh(m.embed(ids))), embed=nn.Embedding(11, 4), out=nn.Linear(4, 11)
    )
    module.out.weight = module.embed.weight
    return module


def frozen():
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    module[0].requires_grad_(False)
    return module


def in_place(m, x):
    y = m.fc(x)
    y[:, 0] = 0
    y += 1
    z = y.view(y.shape[0], 2, 2).transpose(1, 2)
    z[:, 1] *= 2
    return functional.relu_(y), z.reshape(y.shape[0], -1)


def without_gradient(m, x):
    with torch.no_grad():
        scale = m.fc(x).abs().amax(-1, keepdim=True) + 1
    return m.fc(x) / scale + m.fc(x).detach()


def of_integers(m, ids, flags):
    kept = torch.where(flags, ids, torch.zeros_like(ids))
    return {"counts": kept.sum(-1), "any": flags.any(-1), "means": m.embed(kept).mean(1), "half": kept > 1.5}


IDS = torch.tensor([[3, 1, 2], [0, 4, 1], [2, 2, 5], [7, 0, 1]])

FLAGS = torch.tensor([[True, False, True], [True, True, True], [False, True, True], [True, True, False]])

TIME = ({0: "batch", 1: "time"},)


CASES = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Dropout(0.4), nn.Linear(8, 2)),
        lambda: (image(4, 3),),
    ),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
        ),
        lambda: (image(4, 3, 8, 8),),
    ),
    "a mask": (Masked, lambda: (image(4, 5, 4), torch.rand(4, 5) > -1)),
    "no mask": (Masked, lambda: (image(4, 5, 4), None)),
    "keywords": (Masked, lambda: {"mask": torch.rand(4, 5) > -1, "x": image(4, 5, 4)}),
    "nested": (
        lambda: Of(lambda m, pair, more: (m.fc(pair[0]) + pair[1], {"z": more["deep"] * 2}), fc=nn.Linear(3, 3)),
        lambda: ((image(4, 3), image(4, 3)), {"deep": image(4, 2)}),
    ),
    "a counter": (with_counter, lambda: (image(4, 3),)),
    "tied": (tied, lambda: (IDS,)),
    "frozen": (frozen, lambda: (image(4, 3),)),
    "in place": (lambda: Of(in_place, fc=nn.Linear(3, 4)), lambda: (image(4, 3),)),
    "no gradient": (lambda: Of(without_gradient, fc=nn.Linear(3, 4)), lambda: (image(4, 3),)),
    "integers": (lambda: Of(of_integers, embed=nn.Embedding(8, 3)), lambda: (IDS, FLAGS)),
    "half": (
        lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).bfloat16(),
        lambda: (image(4, 3).bfloat16(),),
    ),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True),
        lambda: (image(4, 5, 8),),
    ),
}  # fmt: skip

DYNAMIC = {"encoder": TIME, "a mask": ({0: "batch", 1: "time"},) * 2}

SEEDS = [f"seed {number}" for number in range(16)]


def random_module(seed):
    """Return a random module of a few parts with other shapes in each, and an input for it."""
    draw = np.random.default_rng(seed)
    size = int(draw.integers(2, 6))
    parts = [
        *(
            nn.BatchNorm1d,
            nn.LayerNorm,
            lambda n: nn.Dropout(0.5),
            lambda n: nn.PReLU(),
            lambda n: nn.Softmax(-1),
        ),
        *(lambda n: nn.GELU(), lambda n: nn.SiLU(), lambda n: nn.Hardtanh(-0.4, 0.7)),
    ]
    tricks = [
        lambda y: y.clamp(min=-0.3) * 2,
        lambda y: torch.cat([y[:, 1:], y[:, :1]], -1),
        lambda y: y.masked_fill(y > 0.5, 0.25),
        lambda y: y - y.mean(-1, keepdim=True).detach(),
        lambda y: torch.where(y > 0, y, y.cumsum(-1)),
        lambda y: y.unsqueeze(1).expand(-1, 3, -1).sum(1) / y.shape[-1],
        lambda y: y.sort(-1).values,
        lambda y: torch.einsum("bi,bj->bij", y, y).diagonal(dim1=1, dim2=2),
    ]
    layers, steps = [], []
    for _ in range(int(draw.integers(2, 5))):
        wider = int(draw.integers(2, 6))
        layers += [nn.Linear(size, wider), parts[draw.integers(len(parts))](wider)]
        steps.append(tricks[draw.integers(len(tricks))])
        size = wider
    layers = nn.ModuleList(layers)
    start = layers[0].in_features

    def forward(m, x):
        for at, trick in enumerate(steps):
            x = trick(m.layers[2 * at + 1](m.layers[2 * at](x)))
        return x

    return Of(forward, layers=layers), (image(4, start),)


def case(name):
    torch.manual_seed(0)
    if name in SEEDS:
        return *random_module(int(name.split()[1])), None
    make, inputs = CASES[name]
    return make(), inputs(), DYNAMIC.get(name)


@contextlib.contextmanager
def verified_here():
    """Verify in this process: it is a worker already."""
    with mock.patch.object(_import_check, "_run", lambda program, compute, *args: compute(*args)):
        yield


def import_one(name):
    """Import a case with its verification, and return the sizes of its trials: runs in a worker."""
    module, example, dynamic = case(name)
    with verified_here():
        report = uk.interop.from_torch(module, example, dynamic).import_report
    return [trial.shapes for trial in report.trials], report.notes


def check_states():
    """Tied weights stay tied, frozen ones frozen; states come back; a counter counts: runs in a worker."""
    import keras

    module, example, _ = case("tied")
    model = uk.interop.from_torch(module, example, verify=False)
    names = model.named_variables
    assert names["out.weight"] is names["embed.weight"]
    state = uk.interop.state_dict(model, like=module)
    module.load_state_dict(state)
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())

    module, example, _ = case("frozen")
    assert len(uk.interop.from_torch(module, example, verify=False).trainable_variables) == 2
    assert not uk.interop.from_torch(module, example, trainable=False, verify=False).trainable_variables

    module, example, _ = case("a counter")
    model = uk.interop.from_torch(module, example, verify=False)
    assert "weights" not in uk.interop.state_dict(model)
    model(np.ones((4, 3), "float32"), training=True)
    assert int(uk.interop.state_dict(model)["calls"]) == 1
    assert keras.ops.convert_to_numpy(model.named_variables["weights"]).tolist() == [0, 1, 2]
    module.load_state_dict(uk.interop.state_dict(model, like=module))


def save_cnn(path):
    import keras

    module, example, _ = case("cnn")
    model = uk.interop.from_torch(module, example, verify=False)
    model.save(path)
    return keras.ops.convert_to_numpy(model(example[0].numpy()))


def load_cnn(path):
    import keras

    assert uk.interop.ImportedModule
    torch.manual_seed(0)
    model = keras.saving.load_model(path)
    _, example, _ = case("cnn")
    return keras.ops.convert_to_numpy(model(example[0].numpy()))


def errors_of_wrong_rules():
    """Import with rules that are wrong in one way each, and return the messages: runs in a worker."""
    import keras

    module, example, _ = case("mlp")
    linear = operators.find("aten.linear").compute
    wrong = {
        "outputs": lambda x, w, b=None: linear(x, w, b if b is None else b * 1.001),
        "gradients": lambda x, w, b=None: linear(x, keras.ops.stop_gradient(w), b),
    }
    messages = {}
    for name, rule in wrong.items():
        operators.register_operator("aten.linear")(rule)
        try:
            uk.interop.from_torch(module, example)
        except ParityError as error:
            messages[name] = str(error), error.report.gaps
        finally:
            operators.register_operator("aten.linear")(linear)
    return messages


def import_in_a_worker_of_its_own():
    module, example, _ = case("mlp")
    module.hook = lambda: None  # cannot be pickled by pickle, and travels nowhere
    report = uk.interop.from_torch(module, example).import_report
    return report.verified, sorted(report.trials[0].gaps), str(report)
