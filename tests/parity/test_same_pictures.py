"""The same seed gives the same pictures, byte for byte, on every backend and with any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed")


def digest(folder: str, threads: int) -> str:
    """Return a digest of two epochs of augmented pictures and masks."""
    import hashlib

    import unikeras as uk
    from unikeras.data import transforms

    augmentation = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, 40),
            transforms.RandomFlip("horizontal"),
            transforms.RandomRotation(0.1),
            transforms.RandomZoom(0.2, fill_mode="constant"),
            transforms.RandomContrast(0.2),
            transforms.Normalize([120.0, 110.0, 100.0], 60.0),
        ]
    )
    source = uk.data.from_folder(folder, size=(48, 56), masks="masks").shuffle(7).augment(augmentation)
    batches = source.prefetch(threads).batch(4)
    found = hashlib.sha256()
    for _ in range(2):
        for x, y in batches:
            found.update(x.tobytes() + y.tobytes())
    return found.hexdigest()


def test_pictures_are_the_same_bytes_everywhere(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for number in range(10):
        Image.fromarray(random.integers(0, 255, (60, 70, 3), "uint8")).save(tmp_path / f"{number}.jpg")
        Image.fromarray(random.integers(0, 3, (60, 70), "uint8")).save(tmp_path / "masks" / f"{number}.png")
    digests = {
        uk.run_on(backend, digest, str(tmp_path), threads)
        for backend in uk.backends.available()
        for threads in (0, 4)
    }
    assert len(digests) == 1
