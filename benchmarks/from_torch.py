"""Modules of torch as Keras models: how long an import takes and in how much memory, and how fast the model runs.

python benchmarks/from_torch.py import [--verify]
    a module of BERT-base's size with random weights: seconds, and the peak memory with children,
    the size of the program's JSON
python benchmarks/from_torch.py speed gpt2 bert vit resnet18 --backends jax,torch --rounds 20 --threads 1
    `forward` and `gradient` (forward and backward, in train mode): the imported model under uk.function through torch
    in eager mode, and for resnet18 through the same network of Keras' layers; below 1 the imported model is faster
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from timing import environment, hold_to, machine, measured, ratio

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers import torchvision_stand_in

NAMES = ("gpt2", "bert", "vit", "resnet18")
SMALL = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 128, "intermediate_size": 512}
DRY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["import", "speed"])
    parser.add_argument("names", nargs="*", choices=[*NAMES, []])
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--backends", default="jax,torch")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torchvision_stand_in.install()
    if options.child:
        hold_to(options.threads)
    found: dict[str, Any] = {}
    if options.what == "import":
        found = import_cost(options.verify)
    elif options.child:
        found = {name: speed(name, options.rounds) for name in options.names or NAMES}
    else:
        found = {backend: _child(backend, options.threads) for backend in options.backends.split(",")}
    print(json.dumps(found if options.child else {"machine": machine(options.threads), **found}, indent=2))


def _child(backend: str, threads: int | None) -> Any:
    variables = {**os.environ, **environment(threads), "KERAS_BACKEND": backend}
    command = [sys.executable, *sys.argv, "--child"]
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout[done.stdout.index("{") :])


def import_cost(verify: bool) -> dict[str, Any]:
    """Import a module of BERT-base's size."""
    import torch
    import transformers

    import unikeras as uk

    module = transformers.BertModel(transformers.BertConfig(**DRY))
    tokens = torch.randint(0, 1000, (2, 16))
    start = time.perf_counter()
    with memory_watched() as peaks:
        model = uk.interop.from_torch(
            module, {"input_ids": tokens}, dynamic={"input_ids": {0: "batch", 1: "length"}}, verify=verify
        )
        taken = time.perf_counter() - start
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "verify": verify,
        "seconds": round(taken, 1),
        "peak GiB of the process with its children": round(max(peaks) / 2**30, 2),
        "MB of the program's JSON": round(len(json.dumps(model.program.to_json())) / 1e6, 2),
    }


@contextlib.contextmanager
def memory_watched(every: float = 0.2) -> Iterator[list[int]]:
    """Give a list that gets the resident bytes of this process and all below it, again and again."""
    sizes = [_resident()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            sizes.append(_resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield sizes
    finally:
        ended.set()
        watcher.join()


def _resident() -> int:
    """Return the resident bytes of this process and all below it, as Linux counts them."""
    parents, pages = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            process = int(folder.name)
            parents[process] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            pages[process] = int((folder / "statm").read_text().split()[1])
    own = {os.getpid()}
    while more := {one for one, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(pages.get(one, 0) for one in own) * resource.getpagesize()


def module_of(name: str) -> tuple[Any, tuple[Any, ...]]:
    """Return a module with random weights, and its inputs."""
    import torch
    import transformers as hf

    ends = {"bos_token_id": 1, "eos_token_id": 1}
    tokens = torch.randint(2, 1000, (8, 64))
    if name == "gpt2":
        drops = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "use_cache": False}
        sizes = {"vocab_size": 1000, "n_positions": 64, "n_embd": 128, "n_layer": 4, "n_head": 4}
        return hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, **drops, **ends)), (tokens,)
    if name == "bert":
        return hf.BertForMaskedLM(hf.BertConfig(vocab_size=1000, **SMALL, **DRY)), (
            tokens,
            torch.ones_like(tokens),
        )
    images = torch.randn(8, 3, 64, 64)
    if name == "vit":
        config = hf.ViTConfig(image_size=64, patch_size=8, **SMALL, **DRY)
        return hf.ViTModel(config, add_pooling_layer=False), (images,)
    return _resnet18(), (images,)


def _resnet18() -> Any:
    """Return torch's ResNet-18."""
    from torch import nn

    def norm(filters: int) -> Any:
        return nn.BatchNorm2d(filters)

    class Block(nn.Module):
        def __init__(self, width: int, filters: int, stride: int):
            super().__init__()
            self.main = nn.Sequential(
                nn.Conv2d(width, filters, 3, stride, 1, bias=False),
                norm(filters),
                nn.ReLU(),
                nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
                norm(filters),
            )
            plain = stride == 1
            self.short = (
                nn.Identity()
                if plain
                else nn.Sequential(nn.Conv2d(width, filters, 1, stride, bias=False), norm(filters))
            )

        def forward(self, x):
            return (self.main(x) + self.short(x)).relu()

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for width, filters in ((64, 64), (64, 128), (128, 256), (256, 512)):
        layers += [Block(width, filters, 1 if filters == width else 2), Block(filters, filters, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def _keras_resnet18() -> Any:
    """Return the same network of Keras' layers, as keras.applications writes it."""
    import keras
    from keras import layers

    def convolved(x: Any, filters: int, size: int, stride: int) -> Any:
        x = layers.ZeroPadding2D(size // 2)(x) if size > 1 else x
        x = layers.Conv2D(filters, size, stride, use_bias=False)(x)
        return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)

    def block(x: Any, filters: int, stride: int) -> Any:
        h = layers.ReLU()(convolved(x, filters, 3, stride))
        h = convolved(h, filters, 3, 1)
        return layers.ReLU()(layers.add([h, x if stride == 1 else convolved(x, filters, 1, stride)]))

    inputs = keras.Input((64, 64, 3))
    x = layers.ReLU()(convolved(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for filters in (64, 128, 256, 512):
        x = block(block(x, filters, 1 if filters == 64 else 2), filters, 1)
    return keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)))


def speed(name: str, rounds: int) -> dict[str, str]:
    """Return ratios of one module on the backend of this process."""
    from keras import ops

    import unikeras as uk

    module, inputs = module_of(name)
    model = uk.interop.from_torch(module, inputs, verify=False)
    tensors = [ops.convert_to_tensor(one.numpy()) for one in inputs]
    found = {}
    for what, torch_run, own in (
        ("forward", _torch_forward(module, inputs), _forward(model, tensors)),
        ("gradient", _torch_gradient(module, inputs), _gradient(model, tensors)),
    ):
        runs = [own, torch_run]
        if name == "resnet18":
            images = [ops.convert_to_tensor(np.ascontiguousarray(inputs[0].numpy().transpose(0, 2, 3, 1)))]
            of_layers = _keras_resnet18()
            runs.append((_forward if what == "forward" else _gradient)(of_layers, images))
        _, later = measured(runs, rounds)
        found[what] = ratio(later[0], later[1])
        if name == "resnet18":
            found[f"{what} through Keras' layers"] = ratio(later[0], later[2])
    return found


def _first(value: Any) -> Any:
    value = list(value.values()) if isinstance(value, dict) else value
    return value[0] if isinstance(value, (list, tuple)) else value


def _torch_forward(module: Any, inputs: Any) -> Callable[[], Any]:
    import torch

    def run() -> None:
        module.eval()
        with torch.no_grad():
            module(*inputs)

    return run


def _torch_gradient(module: Any, inputs: Any) -> Callable[[], Any]:
    def run() -> None:
        module.train()
        module.zero_grad()
        (_first(module(*inputs)) ** 2).mean().backward()

    return run


def _forward(model: Any, tensors: Any) -> Callable[[], Any]:
    import unikeras as uk

    step = uk.function(lambda *given: _first(model(*given, training=False)))
    return lambda: waited(step(*tensors))


def _gradient(model: Any, tensors: Any) -> Callable[[], Any]:
    from keras import ops

    import unikeras as uk

    @uk.function
    def step(*given: Any) -> Any:
        with uk.GradientTape() as tape:
            loss = ops.mean(ops.square(_first(model(*given, training=True))))
        return loss, tape.gradient(loss, model.trainable_variables)

    def run() -> None:
        loss, gradients = step(*tensors)
        waited(loss)
        waited(next(one for one in reversed(gradients) if one is not None))

    return run


def waited(value: Any) -> Any:
    """Wait for a result."""
    from keras import ops

    return ops.convert_to_numpy(value)


if __name__ == "__main__":
    main()
