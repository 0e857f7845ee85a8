"""Pure PyTorch: modules of torch.nn, images with channels first, torch.optim.Adam; no Keras."""

from __future__ import annotations

import torch
from torch import nn

from native.torch_modules import module

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training(name: str):
    """Return a function of (x, y) that trains the model of this name, and counts what it gets right."""
    model = module(name).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters())
    loss_fn = nn.CrossEntropyLoss()
    right = torch.zeros((), dtype=torch.int64, device=DEVICE)
    seen = 0

    def step(x, y):
        nonlocal seen
        x, y = _tensor(x), torch.from_numpy(y).to(DEVICE)
        logits = model(x)
        loss = loss_fn(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right.add_((logits.detach().argmax(-1) == y).sum())
        seen += len(y)
        return loss

    return step


def prediction(name: str):
    """Return a function of x that returns the model's outputs as numpy."""
    model = module(name).to(DEVICE).eval()

    @torch.inference_mode()
    def predict(x):
        return model(_tensor(x)).cpu().numpy()

    return predict


def check_size(name: str, parameters: int) -> None:
    """Raise an error unless the module has as many parameters as Keras' model; nn.LSTM has two biases for one."""
    model = module(name)
    sizes = {key: value.numel() for key, value in model.named_parameters() if "bias_hh" not in key}
    assert sum(sizes.values()) == parameters, f"{name}: {sum(sizes.values())} parameters, not {parameters}"


def _tensor(x):
    """Return a batch as a tensor, images with their channels first."""
    tensor = torch.from_numpy(x).to(DEVICE)
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor
