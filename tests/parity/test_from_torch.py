"""Modules of torch through `from_torch`: each is verified on every backend against torch, in a worker of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import unikeras as uk


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


def imported(name, backend=None):
    """Import and verify one case here; return what the test looks at."""
    torch.manual_seed(0)
    make, inputs = CASES[name]
    module, example = make(), inputs()
    return module, example, uk.interop.from_torch(module, example, DYNAMIC.get(name))


def import_all(names):
    """Import each case and say which were not verified: runs in a worker of each backend."""
    problems = {}
    for name in names:
        try:
            report = imported(name)[2].import_report
            assert len(report.trials) == 2
            assert len({str(trial.shapes) for trial in report.trials}) == 2
        except Exception as error:
            problems[name] = f"{type(error).__name__}: {error}"
    return problems


@pytest.mark.parametrize("backend_name", uk.backends.available())
def test_modules_are_verified(backend_name):
    assert uk.run_on(backend_name, import_all, list(CASES)) == {}
