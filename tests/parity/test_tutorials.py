"""Every tutorial and guide that is a notebook runs from top to bottom, twice, on every backend."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import unikeras as uk

ROOT = Path(__file__).parents[2] / "docs"
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?P<options>(?::[^\n]*\n)*)(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
    if CELL.search(path.read_text(encoding="utf-8"))
}
# What a guide leads away from; the dependency group `docs` has it, and each build of the site executes the page.
LEFT_BEHIND = ["flax"]


def run(page: str, cells: list[str], folder: str) -> None:
    """Run the cells in one namespace, in a folder."""
    import contextlib
    import linecache

    import matplotlib

    matplotlib.use("agg")
    shared: dict = {"__name__": "__main__", "display": lambda *_: None}
    with contextlib.chdir(folder):
        for number, cell in enumerate(cells):
            name = f"{page}, cell {number}"
            # TensorFlow's autograph reads the source of functions, which a notebook has.
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec"), shared)


@pytest.mark.rotated("page", "backend", parts=8)
@pytest.mark.parametrize("backend", uk.backends.available())
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs(page, backend, tmp_path, request):
    cells = [found["code"] for found in CELL.finditer(PAGES[page].read_text(encoding="utf-8"))]
    for name in LEFT_BEHIND:
        if f"\nimport {name}" in "".join(cells) and importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is installed where the site is built")
    folder = tmp_path / Path(page).parent  # beside the measurements, as in docs/
    folder.mkdir(exist_ok=True)
    (tmp_path / "measurements").symlink_to(ROOT / "measurements")
    for _ in range(2 if request.config.getoption("--all") else 1):
        uk.run_on(backend, run, page, cells, str(folder), timeout=300)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("tutorials/")])
def test_the_page_begins_and_ends_as_all_do(page):
    text = PAGES[page].read_text(encoding="utf-8")
    assert re.search(r"^After this page you can ", text, re.MULTILINE)
    assert text.count('<details class="exercise">') == 2


# What comparisons of TensorFlow and PyTorch show, and the page that has it: a page may be rewritten, not lose a topic.
TOPICS = {
    "tensors": "placeholder feed_dict Session( global_variables_initializer tf.function eager **",
    "models": "keras.Sequential keras.Input keras.Model) nn.Module nn.Sequential .summary( Flatten (150, RMSprop",
    "gradients": "watch( watch_accessed_variables=False persistent=True 108 requires_grad retain_graph no_grad "
    ".backward() .grad zero_ trainable jacobian( vjp pushforward|jvp",
    "training_loops": "compile( fit( zero_grad() .backward() .step() tf.function sharp accumul GradScaler autocast "
    "ModelCheckpoint save_weights",
    "inference": "predict( .eval() no_grad",
    "datasets": "keras.datasets FashionMNIST cifar10 Dataset DataLoader shuffle ImageDataGenerator "
    "flow_from_directory rescale rotation_range shear_range zoom_range horizontal_flip nearest Normalize Compose",
    "images": "Conv2D MaxPool Flatten cifar10",
    "lstm": "return_sequences h0 c0 stateful=True 128 attention restart",
    "saving": "save_weights load_weights load_model state_dict load_state_dict vgg16 torch.save pretrained",
    "deployment": "torch.onnx.export TFLiteConverter SavedModel torch.jit Serving onnxruntime",
    "tensorboard": "SummaryWriter histogram merge_all placeholder",
    "debugging": "pdb zero_grad tf.function device NaN",
    "speed": "tf.function torch.compile jax.jit",
    "devices": "MirroredStrategy init_process_group DistributedDataParallel",
}


@pytest.mark.parametrize("page", TOPICS)
def test_the_page_has_its_topics(page):
    text = PAGES[f"tutorials/{page}.md"].read_text(encoding="utf-8")
    missing = [topic for topic in TOPICS[page].split() if not any(way in text for way in topic.split("|"))]
    assert not missing
