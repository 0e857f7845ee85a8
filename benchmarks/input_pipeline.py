"""Time input pipelines: a folder of JPEGs, decoded, resized, augmented, in batches of float32.

    python benchmarks/input_pipeline.py [--images 2000] [--rounds 3] [--loaders unikeras-0 unikeras-2 torch-2 tf grain]

Each loader runs in a process of its own, in turns, on the same files. An epoch comes first that is not counted, so that
workers have started and files are in the cache. The same work for all: decode, resize to 160 x 160 by area, flip,
rotate by up to 18 degrees, divide by 255. A number behind a name is that of threads, or of worker processes. On a
machine that others use, images per CPU second say more than images per second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import timing

SIZE, BATCH, TURN = 160, 32, 0.05
LOADERS = ("unikeras-0", "unikeras-2", "unikeras-4", "torch-0", "torch-2", "tf", "grain-0", "grain-2")


def write_pictures(folder: Path, count: int) -> None:
    """Write smooth pictures of 320 x 240 pixels, in two classes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        path = folder / f"class{number % 2}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=90)


def of_unikeras(folder: Path, threads: int) -> Iterable[Any]:
    import unikeras as uk
    from unikeras.data import transforms

    source = uk.data.from_folder(folder, size=SIZE).augment(
        transforms.RandomFlip("horizontal"), transforms.RandomRotation(TURN), transforms.Rescale(1 / 255)
    )
    return source.shuffle(0).batch(BATCH).prefetch(threads)


def of_torch(folder: Path, workers: int) -> Iterable[Any]:
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [
        v2.Resize((SIZE, SIZE)),
        v2.RandomHorizontalFlip(),
        v2.RandomRotation(TURN * 360, interpolation=v2.InterpolationMode.BILINEAR),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
    ]
    return torch.utils.data.DataLoader(
        ImageFolder(str(folder), v2.Compose(steps)),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def of_tensorflow(folder: Path, _: int) -> Iterable[Any]:
    import tensorflow as tf

    def read(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.random_flip_left_right(tf.image.resize(image, (SIZE, SIZE), method="area"))
        angle = tf.random.uniform((), -2 * np.pi * TURN, 2 * np.pi * TURN)
        cos, sin, middle = tf.cos(angle), tf.sin(angle), (SIZE - 1) / 2
        shift_x, shift_y = middle - cos * middle + sin * middle, middle - sin * middle - cos * middle
        image = tf.raw_ops.ImageProjectiveTransformV3(
            images=image[None],
            transforms=tf.stack([cos, -sin, shift_x, sin, cos, shift_y, 0.0, 0.0])[None],
            output_shape=(SIZE, SIZE),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        )[0]
        return image / 255, tf.strings.regex_full_match(path, ".*class1.*")

    paths = sorted(str(path) for path in folder.glob("*/*.jpg"))
    data = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths))
    return data.map(read, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def of_grain(folder: Path, workers: int) -> Iterable[Any]:
    import grain
    from absl import flags

    import unikeras as uk
    from unikeras.data import transforms

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["input_pipeline"])  # its workers read them
    pictures = uk.data.from_folder(folder, size=SIZE)
    augment = transforms.Compose(
        [transforms.RandomFlip("horizontal"), transforms.RandomRotation(TURN), transforms.Rescale(1 / 255)]
    )

    def apply(example: Any, rng: np.random.Generator) -> Any:
        return augment.apply(transforms.Example(example[0]), rng).image, np.int32(example[1])

    data = (
        grain.MapDataset.source(pictures).seed(0).shuffle().random_map(apply).to_iter_dataset().batch(BATCH)
    )
    return data.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)) if workers else data


PIPELINES: dict[str, Callable[[Path, int], Iterable[Any]]] = {
    "unikeras": of_unikeras,
    "torch": of_torch,
    "tf": of_tensorflow,
    "grain": of_grain,
}


def measure(loader: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Return images per second and per CPU second of each epoch, and the milliseconds until the first batch."""
    name, _, workers = loader.partition("-")
    data = PIPELINES[name](folder, int(workers or 0))
    speeds, costs, first = [], [], 0.0
    for epoch in range(rounds + 1):
        begin, cpu, count = time.perf_counter(), time.process_time(), 0
        for batch in data:
            if epoch == count == 0:
                first = time.perf_counter() - begin
            count += len(batch[1])
        if epoch:
            speeds.append(count / (time.perf_counter() - begin))
            costs.append(count / (time.process_time() - cpu))
    return {"speeds": speeds, "costs": costs, "first_batch_ms": 1000 * first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3, help="processes a loader, and epochs in each")
    parser.add_argument("--loaders", nargs="+", default=LOADERS)
    parser.add_argument("--child", nargs=2, metavar=("LOADER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child[0], Path(options.child[1]), options.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), options.images)
        found: dict[str, list[dict[str, Any]]] = {loader: [] for loader in options.loaders}
        for _ in range(options.rounds):
            for loader, results in found.items():
                child = [sys.executable, __file__, "--rounds", str(options.rounds), "--child", loader, folder]
                output = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout
                results.append(json.loads(output.splitlines()[-1]))
    print(json.dumps(timing.machine(None)))
    print("| loader | images/s | images per CPU second | first batch, ms |\n|---|---|---|---|")
    for loader, results in found.items():
        speed = statistics.median(speed for result in results for speed in result["speeds"])
        cost = statistics.median(cost for result in results for cost in result["costs"])
        has_processes = loader in ("torch-2", "grain-2")  # whose CPU seconds are not this process's
        first = statistics.median(result["first_batch_ms"] for result in results)
        print(f"| {loader} | {speed:.0f} | {'-' if has_processes else f'{cost:.0f}'} | {first:.0f} |")


if __name__ == "__main__":
    main()
