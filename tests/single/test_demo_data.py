"""The demo's data: divided once, the same for every backend, and refused where it cannot be trained on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

import unikeras as uk
from unikeras.apps.demo import data, dataset, fetched, folders
from unikeras.data import _named_data
from unikeras.errors import DatasetError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
IMAGE = np.zeros((8, 6, 3), "uint8")


@pytest.fixture
def photos(tmp_path):
    """Two classes of images, of several sizes, suffixes and kinds, and files that are no images."""
    for name, shade in (("dark", 20), ("light", 230)):
        room = tmp_path / "photos" / name
        room.mkdir(parents=True)
        for i, suffix in enumerate(("png", "jpg", "BMP", "png", "png")):
            Image.new("RGB", (9 + i, 12), (shade,) * 3).save(room / f"{i}.{suffix}")
        (room / "notes.txt").write_text("not an image")
        (room / ".hidden.png").write_text("not an image")
    (tmp_path / "photos" / ".cache").mkdir()
    return tmp_path / "photos"


def _parts(loaded):
    return loaded.train, loaded.validation, loaded.test


def test_digits_are_divided_80_to_20_with_a_validation_part():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    train, validation, test = _parts(data.digits())
    assert len(train) + len(validation) + len(test) == 1797
    assert 0.19 < len(test) / 1797 < 0.21
    assert 0.09 < len(validation) / 1797 < 0.11
    assert (train.images.dtype, train.images.shape[1:], train.images.max()) == ("uint8", (8, 8, 1), 16)


def test_digits_are_divided_alike_every_time():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    for one, other in zip(_parts(data.digits()), _parts(data.digits()), strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)


def test_parts_share_no_image_and_lose_none():
    labels = np.repeat([0, 1, 2], [50, 30, 20]).astype("int32")
    numbered = np.arange(100, dtype="uint8").reshape(100, 1, 1, 1)
    loaded = dataset.divide("numbers", ("a", "b", "c"), 255, dataset.Split(numbered, labels))
    seen = np.concatenate([part.images.ravel() for part in _parts(loaded)])
    assert sorted(seen) == list(range(100))
    for part in _parts(loaded):
        assert np.array_equal(labels[part.images.ravel()], part.labels)


def test_every_class_is_held_out_in_proportion():
    labels = np.repeat([0, 1, 2], [50, 30, 3])
    stay, held = dataset.hold_out(labels, 0.2)
    assert np.bincount(labels[held]).tolist() == [10, 6, 1]
    assert not set(stay) & set(held)


def test_another_seed_holds_out_others():
    labels = np.zeros(100, int)
    draws = [dataset.hold_out(labels, 0.2, seed)[1].tolist() for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_batches_have_one_size_and_a_seeded_order():
    first, again, other = data.batches(10, 4, 1), data.batches(10, 4, 1), data.batches(10, 4, 2)
    assert [len(batch) for batch in first] == [4, 4]
    assert len(set(np.concatenate(first))) == 8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pixels_go_from_0_to_1():
    split = dataset.Split(np.array([0, 8, 16], "uint8").reshape(3, 1, 1, 1), np.array([0, 1, 1], "int32"))
    pixels = dataset.Dataset("x", ("a", "b"), 16, split, split, split).pixels(split.images)
    assert (pixels.dtype, pixels.ravel().tolist()) == (np.dtype("float32"), [0.0, 0.5, 1.0])


def test_a_folder_of_images_is_read(photos):
    loaded = folders.read(photos)
    assert (loaded.name, loaded.classes, loaded.shape) == ("photos", ("dark", "light"), (32, 32, 3))
    assert sum(map(len, _parts(loaded))) == 10
    for part in _parts(loaded):
        shades = part.images.mean(axis=(1, 2, 3))
        assert np.array_equal(shades > 125, part.labels == 1)


def test_grey_images_and_palettes_become_rgb(photos):
    Image.new("L", (5, 5), 20).save(photos / "dark" / "grey.png")
    Image.new("P", (5, 5)).save(photos / "dark" / "palette.gif", transparency=0)
    assert folders.read(photos).shape == (32, 32, 3)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n cut off"])
def test_an_unreadable_image_is_named(photos, content):
    (photos / "light" / "broken.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"^1 of 11 images cannot be read: .*light/broken\.png") as caught:
        folders.read(photos)
    assert "\n" not in str(caught.value)


def test_a_truncated_image_is_named(photos):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), "uint8")
    Image.fromarray(noise).save(photos / "dark" / "cut.png")
    whole = (photos / "dark" / "cut.png").read_bytes()
    (photos / "dark" / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"dark/cut\.png"):
        folders.read(photos)


def test_16_bit_pixels_are_refused_and_not_cut_off(photos):
    Image.fromarray(np.full((4, 4), 40_000, "uint16")).save(photos / "dark" / "deep.png")
    with pytest.raises(DatasetError, match=r"dark/deep\.png \(its pixels are I;16, only 8 bits"):
        folders.read(photos)


def test_many_unreadable_images_are_counted_and_three_are_named(photos):
    for i in range(5):
        (photos / "light" / f"broken{i}.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"^5 of 15 images cannot be read") as caught:
        folders.read(photos)
    assert str(caught.value).count("broken") == 3


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*nowhere: No such file.*one sub-folder"):
        folders.read(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot read .*file: Not a directory"):
        folders.read(tmp_path / "file")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(
        DatasetError, match=r"no images in the sub-folders of .*one sub-folder of images per class"
    ):
        folders.read(tmp_path)


def test_images_without_sub_folders_are_refused(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "0.png")
    with pytest.raises(DatasetError, match="no images in the sub-folders of"):
        folders.read(tmp_path)


def test_one_class_is_refused(photos):
    (photos / "dark").rename(photos / ".dark")
    with pytest.raises(DatasetError, match="holds only one class, light; at least two"):
        folders.read(photos)


def test_all_classes_with_too_few_images_are_named(photos):
    (photos / "empty").mkdir()
    (photos / "scarce").mkdir()
    Image.fromarray(IMAGE).save(photos / "scarce" / "0.png")
    with pytest.raises(
        DatasetError, match=r"at least 3 images.*: empty/ holds 0, scarce/ holds 1; add images"
    ):
        folders.read(photos)


def test_a_failed_download_names_the_data_that_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(uk.data, "load", functools.partial(uk.data.load, mirror="http://127.0.0.1:9"))
    with pytest.raises(DatasetError, match=r"cannot load mnist.*--dataset digits needs no network") as caught:
        data.load("mnist", None)
    assert "Traceback" not in str(caught.value)


def test_a_fetched_set_keeps_its_test_part(monkeypatch):
    labels = np.repeat(np.arange(10), 8).astype("int32")
    images = np.zeros((80, 28, 28, 1), "uint8")
    parts = [(images, labels), (images + 1, labels)]
    read = dataclasses.replace(_named_data.DATA["fashion_mnist"], files=(), read=lambda paths: parts)
    monkeypatch.setitem(_named_data.DATA, "fashion_mnist", read)
    loaded = data.load("fashion_mnist", None)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (70, 10, 80)
    assert loaded.test.images.min() == 1
    assert loaded.classes[9] == "ankle boot"


@pytest.mark.parametrize("labels", [np.arange(4, dtype="uint8"), np.zeros((4, 1), "uint8")])
def test_fetched_arrays_get_a_channel_and_flat_labels(monkeypatch, labels):
    parts = [(np.zeros((4, 28, 28), "uint8"), labels), (np.zeros((4, 32, 32, 3), "uint8"), labels)]
    read = dataclasses.replace(_named_data.DATA["cifar10"], files=(), read=lambda paths: parts)
    monkeypatch.setitem(_named_data.DATA, "cifar10", read)
    train, test = map(fetched._arrays, uk.data.load("cifar10"))
    shapes = [(part.images.shape, part.labels.shape, part.labels.dtype) for part in (train, test)]
    assert shapes == [((4, 28, 28, 1), (4,), "int32"), ((4, 32, 32, 3), (4,), "int32")]
