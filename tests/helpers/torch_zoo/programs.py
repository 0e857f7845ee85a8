"""Hand-written modules, each of which shows what single layers do not."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .zoo_model import BATCH, SEQUENCE, ZooModel, images, series, vectors


class Calls(nn.Module):
    """A function of a module's layers."""

    def __init__(self, function, **layers: nn.Module):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def _convolutions() -> nn.Module:
    """Every way to pad, a stride, a dilation, groups."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding="same", dilation=2, groups=2),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", bias=False),
        nn.Conv2d(8, 8, (3, 2), padding=(1, 0), padding_mode="circular", groups=4),
        nn.Conv2d(8, 6, 3, stride=2, padding=2, padding_mode="replicate"),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.SiLU(),
    )


def _pools() -> nn.Module:
    return Calls(
        lambda m, x: (
            torch.cat(
                [
                    functional.max_pool2d(x, 3, 2, padding=1, ceil_mode=True).flatten(1),
                    functional.avg_pool2d(
                        x, 3, 2, padding=1, ceil_mode=True, count_include_pad=False
                    ).flatten(1),
                    functional.adaptive_avg_pool2d(x, (3, 4)).flatten(1),
                    functional.adaptive_max_pool2d(x, 2).flatten(1),
                    functional.lp_pool2d(x.abs() + 0.1, 2, 2).flatten(1),
                    functional.max_pool2d(x, 3, 1, dilation=2).flatten(1),
                ],
                1,
            )
            * m.scale.weight[:, 0]
        ),
        scale=nn.Linear(1, 428, bias=False),
    )


def _ups() -> nn.Module:
    """Transposed convolutions and every interpolation."""

    def call(m, x):
        x = m.grouped(m.transposed(x))
        both = [
            functional.interpolate(x, scale_factor=2, mode="nearest"),
            functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
            functional.interpolate(x, scale_factor=2, mode="bicubic"),
            functional.pixel_shuffle(x.repeat(1, 2, 1, 1), 2).repeat(1, 2, 1, 1)[:, :6],
        ]
        return sum(both[1:], both[0]), functional.interpolate(x, (5, 7), mode="bilinear", antialias=True)

    return Calls(
        call,
        transposed=nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1),
        grouped=nn.ConvTranspose2d(4, 6, (3, 2), groups=2, dilation=(1, 2)),
    )


def _volumes() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ELU(),
        nn.MaxPool3d(2),
        nn.ConvTranspose3d(4, 2, 2, stride=2),
        nn.AdaptiveAvgPool3d(2),
        nn.Flatten(),
    )


def _waves() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 8, 5, padding=2, stride=2),
        nn.GroupNorm(2, 8),
        nn.GELU("tanh"),
        nn.AvgPool1d(2),
        nn.ConvTranspose1d(8, 4, 4, stride=2, groups=2),
        nn.InstanceNorm1d(4, affine=True),
        nn.Mish(),
    )


def _norms() -> nn.Module:
    """Instance and group normalization, with running statistics and without any."""
    return nn.Sequential(
        nn.InstanceNorm2d(4),
        nn.Conv2d(4, 6, 3),
        nn.GroupNorm(3, 6),
        nn.PReLU(6),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        # Without a layer between them, the second of two normalizations leaves the first no gradients but noise.
        nn.SiLU(),
        nn.Conv2d(6, 6, 1),
        nn.BatchNorm2d(6, track_running_stats=False),
        nn.Sigmoid(),
        nn.BatchNorm2d(6, momentum=0.3, affine=False),
        nn.LocalResponseNorm(2),
        nn.Hardswish(),
    )


def _row_norms() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 8), nn.RMSNorm(8), nn.Softplus(), nn.LayerNorm(8, bias=False), nn.GLU(), nn.Softmax(-1)
    )


class TiedWeights(nn.Module):
    """Two layers of one matrix, a padding index, and a bag of words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 6, padding_idx=0)
        self.bag = nn.EmbeddingBag(11, 6, mode="mean")
        self.out = nn.Linear(6, 11)
        self.out.weight = self.words.weight

    def forward(self, tokens):
        return self.out(self.words(tokens) + self.bag(tokens)[:, None])


class DictOutputs(nn.Module):
    """Nested outputs, of which one is an input and one is an integer."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(5, 4), nn.Linear(5, 3)

    def forward(self, batch):
        h = self.one(batch["x"])
        logits = self.other(batch["x"]) * batch["scale"]
        return {"logits": logits, "hidden": [h, (h.tanh(), logits.argmax(-1))], "x": batch["x"]}


class NoneInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.extra = nn.Linear(5, 4), nn.Linear(5, 4)

    def forward(self, x, bias=None, y=None):
        return self.layer(x) + (0 if bias is None else bias) + (0 if y is None else self.extra(y))


class InPlace(nn.Module):
    """Writes into views, into a buffer, and over a mask."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        h = self.layer(x)
        h[:, 1:3] *= 2
        h[:, 4] = x[:, 0]
        h.masked_fill_(x < -1, 0.5)
        h.add_(x).clamp_(-3, 3)
        if self.training:
            self.calls += 1
            self.mean.lerp_(h.detach().mean(0), 0.1)
        return h - self.mean


class StoppedParts(nn.Module):
    """A target that gives no gradients, in three ways to say it."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = nn.Linear(5, 4), nn.Linear(5, 4)
        self.frozen = nn.Linear(5, 4).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            target = self.teacher(x).softmax(-1)
        y = self.student(x)
        return y * target + (y - self.teacher(x).detach()) ** 2 + self.frozen(x) * y


class Choices(nn.Module):
    """Takes, puts and orders elements."""

    def __init__(self):
        super().__init__()
        self.layer, self.table = nn.Linear(6, 8), nn.Parameter(torch.randn(7, 8))

    def forward(self, x, chosen):
        h = self.layer(x)
        best, where = h.topk(3, dim=-1)
        ordered, order = h.sort(dim=-1, descending=True)
        spread = torch.zeros_like(h).scatter(-1, where, best)
        put = h.index_put((torch.arange(h.shape[0]), chosen), self.table[chosen, 0], accumulate=True)
        rows = self.table[chosen] + self.table.index_select(0, chosen).flip(-1)
        sums = torch.zeros_like(h).scatter_add(-1, order, ordered.cumsum(-1))
        taken = torch.gather(h, 1, where).prod(-1, keepdim=True)
        return spread + put + rows + sums + taken, where, order


class HalfPrecision(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3)).to(dtype)

    def forward(self, x):
        return self.layers(x.to(self.dtype)).float()


class Numbers(nn.Module):
    """Integers and booleans as inputs, their arithmetic and comparisons."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, counts, flags):
        share = counts / counts.sum(-1, keepdim=True)
        kind = (counts % 3 == 0) & flags | ~flags
        h = self.layer(torch.where(kind, share, -share))
        return h * (counts // 2) + kind.sum(-1, keepdim=True), (counts * 2 - 1).clamp(min=3), kind.any(-1)


class Sizes(nn.Module):
    """Arithmetic with dynamic sizes, views, an einsum and a chunk."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        batch, length, features = x.shape
        h = self.layer(x).view(batch, length, 2, features // 2).transpose(1, 2)
        weights = torch.einsum("bhqd,bhkd->bhqk", h, h) / length**0.5
        early, late = self.layer(x).chunk(2, dim=-1)
        position = torch.arange(length, device=x.device) / (length - 1)
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        y = weights.masked_fill(~mask, float("-inf")).softmax(-1) @ h
        y = y.permute(0, 2, 1, 3).reshape(batch, -1, features)
        return y + torch.cat([early * position[None, :, None], late.roll(1, 1)], -1), y.mean((0, 2)).std()


def _windows() -> nn.Module:
    """Patches taken out and put back, a sampling grid, and distances."""

    def call(m, x):
        patches = functional.unfold(m.layer(x), 3, stride=2, padding=1)
        back = functional.fold(patches, (8, 8), 3, stride=2, padding=1)
        theta = m.affine(x.mean((2, 3))).view(-1, 2, 3)
        grid = functional.affine_grid(theta, (x.shape[0], 4, 6, 6), align_corners=False)
        return (
            back,
            functional.grid_sample(back, grid, align_corners=False),
            functional.normalize(patches, dim=1),
        )

    return Calls(call, layer=nn.Conv2d(4, 4, 1), affine=nn.Linear(4, 6))


def _parametrized() -> nn.Module:
    weighted = nn.utils.parametrizations.weight_norm(nn.Linear(5, 6))
    return nn.Sequential(weighted, nn.Tanh(), nn.Linear(6, 3))


def _loss() -> nn.Module:
    """A module that returns its loss, as training code often has it."""

    def call(m, x, labels):
        logits = m.layer(x)
        return functional.cross_entropy(logits, labels, label_smoothing=0.1), logits.log_softmax(
            -1
        ).logsumexp(-1)

    return Calls(call, layer=nn.Linear(5, 4))


MODELS = {
    "convolutions": ZooModel(_convolutions, images(12, 4)),
    "pools": ZooModel(_pools, images(9, 4)),
    "ups": ZooModel(_ups, images(5, 4)),
    "volumes": ZooModel(_volumes, vectors(2, 4, 6, 4)),
    "waves": ZooModel(_waves, vectors(4, 16)),
    # It normalizes over the batch in eval mode too, and the file for LiteRT holds one example at a time.
    "norms": ZooModel(_norms, images(8, 4), formats=("saved_model",)),
    "row norms": ZooModel(_row_norms, series(5), (SEQUENCE,)),
    "tied weights": ZooModel(
        TiedWeights, lambda batch, length: (torch.randint(0, 11, (batch, length)),), (SEQUENCE,)
    ),
    "dict outputs": ZooModel(
        DictOutputs,
        lambda batch, length: ({"x": torch.randn(batch, 5), "scale": torch.rand(batch, 1)},),
        ({"x": BATCH, "scale": BATCH},),
    ),
    "none input": ZooModel(
        NoneInput,
        lambda batch, length: (torch.randn(batch, 5), None, torch.randn(batch, 5)),
        (BATCH, None, BATCH),
    ),
    # LiteRT's runtime refuses a broadcast of the converter's.
    "in place": ZooModel(InPlace, vectors(6), formats=("saved_model",)),
    "stopped parts": ZooModel(StoppedParts, vectors(5)),
    "choices": ZooModel(
        Choices,
        lambda batch, length: (torch.randn(batch, 6), torch.randint(0, 7, (batch,))),
        (BATCH, BATCH),
    ),
    # LiteRT has no matrix product in half precision.
    "half precision": ZooModel(
        lambda: HalfPrecision(torch.float16), vectors(6), tolerance=5e-3, formats=("saved_model",)
    ),
    "bfloat16": ZooModel(
        lambda: HalfPrecision(torch.bfloat16), vectors(6), tolerance=4e-2, formats=("saved_model",)
    ),
    "numbers": ZooModel(
        Numbers,
        lambda batch, length: (torch.randint(1, 20, (batch, 4)), torch.rand(batch, 4) < 0.5),
        (BATCH, BATCH),
        formats=("saved_model",),  # LiteRT does not divide int64
    ),
    "sizes": ZooModel(Sizes, series(8), (SEQUENCE,)),
    "windows": ZooModel(_windows, images(8, 4)),
    "parametrized": ZooModel(_parametrized, vectors(5)),
    "loss": ZooModel(
        _loss,
        lambda batch, length: (torch.randn(batch, 5), torch.randint(0, 4, (batch,))),
        (BATCH, BATCH),
    ),
}
