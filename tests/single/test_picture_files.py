"""Pictures from files: every kind of pixels that cameras and programs write, and files that are broken or hostile."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError, UnikerasError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("cv2", reason="OpenCV is not installed")

RED = np.zeros((4, 6, 3), "uint8") + np.array([200, 10, 30], "uint8")
GREY16 = np.arange(24, dtype="uint16").reshape(4, 6) * 2800


def saved(image, path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def encoded(image, name: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, name, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that says in its header how large it is, and holds next to nothing."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"0" * 99)),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def pets(tmp_path):
    for name in ("dog", "cat"):
        for number in range(3):
            saved(RED + np.uint8(number), tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


# Kinds of pixels


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3, 4, None])
def test_every_mode_becomes_the_channels_asked_for(tmp_path, mode, channels):
    suffix = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    picture = Image.fromarray(RED)
    path = saved(picture.quantize(4) if mode == "P" else picture.convert(mode), tmp_path / f"a.{suffix}")
    image = uk.data.read_image(path, channels=channels)
    stored = {"1": 1, "L": 1, "LA": 4, "RGBA": 4}.get(mode, 3)
    assert (image.shape, image.dtype) == ((4, 6, channels or stored), np.uint8)
    if channels == 3 and mode not in ("1", "L", "LA"):
        np.testing.assert_allclose(image[1, 1], [200, 10, 30], atol=8)
    if channels == 4:
        assert (image[..., 3] == 255).all()


def test_a_transparent_palette_keeps_its_colors(tmp_path):
    picture = Image.fromarray(RED).quantize(4)
    path = saved(picture, tmp_path / "a.png", transparency=picture.getpixel((0, 0)))
    assert uk.data.read_image(path)[0, 0].tolist() == uk.data.read_image(path, channels=4)[0, 0, :3].tolist()
    assert uk.data.read_image(path, channels=None).shape == (4, 6, 4)
    assert (uk.data.read_image(path, channels=4)[..., 3] == 0).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    path = saved(GREY16, tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(uk.data.read_image(path, channels=1, dtype="uint16")[..., 0], GREY16)
    scaled = np.rint(GREY16 / 257).astype("uint8")
    np.testing.assert_array_equal(uk.data.read_image(path, channels=1)[..., 0], scaled)
    np.testing.assert_array_equal(uk.data.read_image(path), np.repeat(scaled[..., None], 3, axis=-1))
    assert uk.data.read_image(path, channels=4, dtype="uint16")[..., 3].min() == 65535


def test_8_bits_fill_16(tmp_path):
    path = saved(np.array([[0, 1, 255]], "uint8"), tmp_path / "a.png")
    assert uk.data.read_image(path, channels=1, dtype="uint16")[..., 0].tolist() == [[0, 257, 65535]]


def test_floats_are_refused_by_name(tmp_path):
    path = saved(np.ones((2, 2), "float32"), tmp_path / "a.tif")
    with pytest.raises(DatasetError, match=r"a\.tif: its pixels are 32-bit \(F\)"):
        uk.data.read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_upright(tmp_path, orientation):
    upright = np.zeros((8, 16), "uint8")
    upright[:4, :8] = 255  # bright in the upper left corner
    turns = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.T, 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].T, 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(np.ascontiguousarray(turns[orientation](upright)), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(uk.data.read_image(path, channels=1)[..., 0], upright)


def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((3, 4), value, "uint8")) for value in (10, 90, 200)]
    path = tmp_path / "a.GIF"
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(uk.data.read_image(path)).tolist() == [10]


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(tmp_path):
    ramp = np.linspace(0, 255, 800).astype("uint8") * np.ones((600, 1), "uint8")
    path = saved(ramp, tmp_path / "a.jpg", quality=95)
    small = uk.data.read_image(path, size=(60, 80), channels=1)
    whole = uk.data.transforms.Resize(60, 80)(uk.data.read_image(path, channels=1))
    assert small.shape == (60, 80, 1)
    np.testing.assert_allclose(small.astype(int), whole, atol=2)


# Broken and hostile files

BROKEN = {
    "empty.png": b"",
    "text.jpg": b"no picture",
    "cut.jpg": encoded(np.random.default_rng(0).integers(0, 255, (40, 40, 3), "uint8"), "JPEG")[:-300],
    "cut.png": encoded(np.random.default_rng(0).integers(0, 255, (40, 40, 3), "uint8"), "PNG")[:-300],
    "cut.webp": encoded(RED, "WEBP")[:-20],
    "cut.gif": encoded(RED[..., 0], "GIF")[:20],
    "cut.bmp": encoded(RED, "BMP")[:60],
    "cut.tif": encoded(RED, "TIFF")[:40],
    "bomb.png": png_header(20_000, 20_000),
    "large.png": png_header(9_000, 9_000),
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%id) (r) file\n",
    "no_size.pgm": b"P5 0 0 255\n",
    "vast.pgm": b"P5 99999999 99999999 255\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_named_with_the_reason(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DatasetError, match=rf"cannot read .*{name}: \w+"):
            uk.data.read_image(path)


@pytest.mark.parametrize("name", ["PPM", "EPS", "ICO"])
def test_only_formats_that_are_pictures_and_nothing_else_are_opened(tmp_path, name):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(RED, name))
    if name == "PPM":
        assert uk.data.read_image(path).shape == (4, 6, 3)
        return
    with pytest.raises(DatasetError, match="it is no picture in one of the formats BMP"):
        uk.data.read_image(path)


def test_the_limit_of_pixels_is_checked_before_decoding(tmp_path):
    path = saved(RED, tmp_path / "a.png")
    assert uk.data.read_image(path, max_pixels=24).shape == (4, 6, 3)
    with pytest.raises(DatasetError, match=r"a\.png: 6 x 4 pixels are more than 23"):
        uk.data.read_image(path, max_pixels=23)


def test_what_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name in ("pipe.png", "folder.png", "loop.png", "missing.png"):
        with pytest.raises(DatasetError, match=f"cannot read .*{name}: "):
            uk.data.read_image(tmp_path / name)
    with pytest.raises(DatasetError, match="null"):
        uk.data.read_image("a\0b.png")
    with pytest.raises(ArgumentError, match="a path is needed"):
        uk.data.read_image(3)


def test_every_cut_of_a_picture_is_refused_or_read(tmp_path):
    generator = np.random.default_rng(1)
    for name, options in (
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}),
    ):
        whole = encoded(generator.integers(0, 255, (9, 9, 3), "uint8"), name, **options)
        path = tmp_path / "a.bin"
        for _ in range(40):
            data = bytearray(whole)
            for at in generator.integers(0, len(data), 3):
                data[at] = generator.integers(256)
            path.write_bytes(bytes(data[: generator.integers(1, len(data) + 1)]))
            try:
                image = uk.data.read_image(path, max_pixels=10_000)
            except DatasetError:
                continue
            assert image.dtype == np.uint8


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channels": 2}, ArgumentValueError),
        ({"dtype": "float32"}, ArgumentValueError),
        ({"size": (0, 3)}, ArgumentValueError),
        ({"size": (-1, 3)}, ArgumentValueError),
        ({"size": (1, 2, 3)}, ArgumentError),
        ({"size": 2.5}, ArgumentError),
        ({"max_pixels": "many"}, ArgumentError),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, error):
    with pytest.raises(error, match=f"{next(iter(arguments))}|height"):
        uk.data.read_image(saved(RED, tmp_path / "a.png"), **arguments)


# Masks


def test_a_mask_is_its_numbers(tmp_path):
    numbers = np.array([[0, 3, 21]], "uint8")
    palette = Image.fromarray(numbers).convert("P")
    palette.putpalette([255, 0, 0] * 256)
    assert uk.data.read_mask(saved(palette, tmp_path / "a.png"))[..., 0].tolist() == [[0, 3, 21]]
    assert uk.data.read_mask(saved(numbers, tmp_path / "b.png"))[..., 0].tolist() == [[0, 3, 21]]
    assert uk.data.read_mask(saved(Image.fromarray(numbers > 1), tmp_path / "c.png"))[..., 0].tolist() == [
        [0, 1, 1]
    ]
    many = uk.data.read_mask(saved(numbers.astype("uint16") + np.uint16(1000), tmp_path / "d.png"))
    assert (many[..., 0].tolist(), many.dtype) == ([[1000, 1003, 1021]], np.uint16)
    with pytest.raises(DatasetError, match=r"e\.png: a mask holds a class for each pixel"):
        uk.data.read_mask(saved(RED, tmp_path / "e.png"))


# Folders


def test_sub_folders_are_classes_by_name(pets):
    saved(RED, pets / "cat" / "more" / "x.JPG")
    source = uk.data.from_folder(pets, size=(2, 3))
    assert source.classes == ("cat", "dog")
    labels = [int(label) for _, label in source]
    assert labels == [0] * 4 + [1] * 3
    image, label = source[4]
    assert (image.shape, image.dtype, label.dtype) == ((2, 3, 3), np.uint8, np.int32)
    assert [uk.data.from_folder(pets, classes=["dog", "cat"])[0][1], len(source)] == [0, 7]
    x, y = next(iter(source.batch(7)))
    assert (x.shape, y.tolist()) == ((7, 2, 3, 3), labels)


def test_what_is_hidden_or_outside_is_no_class(pets, tmp_path):
    for name in (".hidden", "__MACOSX"):
        saved(RED, pets / name / "a.png")
        saved(RED, pets / "cat" / name / "a.png")
    saved(RED, pets / "cat" / "._0.png")
    (pets / "cat" / "notes.txt").write_text("no picture")
    (pets / "README.md").write_text("no class")
    secret = saved(RED, tmp_path / "elsewhere" / "secret.png")
    assert len(uk.data.from_folder(pets)) == 6
    (pets / "elsewhere").symlink_to(secret.parent)
    (pets / "cat" / "secret.png").symlink_to(secret)
    (pets / "cat" / "same.png").symlink_to("0.png")
    (pets / "cat" / "loop.png").symlink_to("loop.png")
    with pytest.warns(UserWarning, match="are left out: ") as caught:
        source = uk.data.from_folder(pets)
    assert sorted(str(one.message).rpartition(": ")[2] for one in caught) == [
        "cat/loop.png, cat/secret.png",
        "elsewhere",
    ]
    assert (len(source), source.classes) == (7, ("cat", "dog"))


def test_pictures_without_labels(pets):
    source = uk.data.from_folder(pets, classes=False)
    assert (len(source), source.classes, source[0].shape) == (6, None, (4, 6, 3))


def test_a_folder_that_cannot_be_used_is_named(tmp_path, pets):
    (tmp_path / "empty").mkdir()
    saved(RED, tmp_path / "one" / "cat" / "0.png")
    (tmp_path / "hollow" / "a").mkdir(parents=True)
    saved(RED, tmp_path / "hollow" / "b" / "0.png")
    cases = {
        "missing": "cannot read .*missing: No such file",
        "empty": "has no sub-folders; expected one",
        "one": "has only one class, cat",
        "hollow": r"there are no pictures \(.*\) of a in",
        "pets/cat/0.png": "is a file",
    }
    for name, message in cases.items():
        with pytest.raises(DatasetError, match=message):
            uk.data.from_folder(tmp_path / name)
    with pytest.raises(DatasetError, match="there are no pictures in"):
        uk.data.from_folder(tmp_path / "empty", classes=False)
    with pytest.raises(DatasetError, match="no sub-folder 'bird' for a class; there are: cat, dog"):
        uk.data.from_folder(pets, classes=["bird"])
    with pytest.raises(DatasetError, match=r"no sub-folder '\.\./one'"):
        uk.data.from_folder(pets, classes=["../one"])
    with pytest.raises(DatasetError, match="path of the folder is empty"):
        uk.data.from_folder("")
    for arguments in ({"classes": "cat"}, {"size": "big"}, {"masks": 3}):
        with pytest.raises(ArgumentError):
            uk.data.from_folder(pets, **arguments)
    for arguments in (
        {"errors": "ignore"},
        {"classes": ["cat", "cat"]},
        {"masks": "*"},
        {"channels": 2},
        {"classes": []},
        {"classes": ["cat"], "masks": "*_m"},
        {"size": 2, "interpolation": "x"},
    ):
        with pytest.raises(ArgumentValueError):
            uk.data.from_folder(pets, **arguments)


def test_a_file_without_permission_is_named(pets, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", path)

    source = uk.data.from_folder(pets)
    monkeypatch.setattr(os, "open", refuse)  # root may read every file
    with pytest.raises(DatasetError, match=r"cannot read .*cat/0\.png: Permission denied"):
        source[0]


def test_an_unreadable_picture_is_an_error_when_its_turn_comes(pets):
    (pets / "cat" / "1.png").write_bytes(BROKEN["cut.png"])
    source = uk.data.from_folder(pets)
    assert len(source) == 6
    assert source[0][1] == 0
    with pytest.raises(DatasetError, match=r"cannot read .*cat/1\.png: "):
        list(source)


def test_skipped_pictures_are_listed_once(pets):
    (pets / "cat" / "1.png").write_bytes(BROKEN["cut.png"])
    (pets / "dog" / "0.png").write_bytes(BROKEN["bomb.png"])
    with pytest.warns(UserWarning, match=r"2 of 6 pictures.*cat/1\.png: .*dog/0\.png: ") as caught:
        source = uk.data.from_folder(pets, errors="skip")
    assert len(caught) == 1
    assert [int(image[0, 0, 0]) for image, _ in source] == [200, 202, 201, 202]
    assert [int(label) for _, label in source] == [0, 0, 1, 1]
    for number in range(3):
        (pets / "dog" / f"{number}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="4 of 6"), pytest.raises(DatasetError, match="of dog in"):
        uk.data.from_folder(pets, errors="skip")


def test_masks_in_a_folder_of_their_own(tmp_path):
    for name in ("1", "deep/2"):
        saved(RED, tmp_path / "images" / f"{name}.jpg")
        saved(np.full((4, 6), 7, "uint8"), tmp_path / "images" / "masks" / f"{name}.png")
    for masks in ("masks", tmp_path / "images" / "masks"):
        source = uk.data.from_folder(tmp_path / "images", size=(2, 2), masks=masks)
        image, mask = source[1]
        assert (len(source), image.shape, mask.shape, mask.max()) == (2, (2, 2, 3), (2, 2, 1), 7)
    saved(RED, tmp_path / "images" / "3.jpg")
    saved(RED[..., 0], tmp_path / "images" / "masks" / "4.png")
    with pytest.raises(
        DatasetError, match=r"without a mask: 3 \(1 in all\); masks without a picture: 4 \(1 in all\)"
    ):
        uk.data.from_folder(tmp_path / "images", masks="masks")


@pytest.mark.parametrize("pattern", ["*_mask", "*_mask.png"])
def test_masks_beside_the_pictures(tmp_path, pattern):
    for name in ("a", "b[1]"):
        saved(RED, tmp_path / f"{name}.jpg")
        saved(np.full((4, 6), 7, "uint8"), tmp_path / f"{name}_mask.png")
    source = uk.data.from_folder(tmp_path, masks=pattern)
    assert (len(source), source[1][1].max()) == (2, 7)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DatasetError, match="masks without a picture: a"):
        uk.data.from_folder(tmp_path, masks=pattern)


def test_masks_that_cannot_be_used_are_named(tmp_path):
    saved(RED, tmp_path / "a.jpg")
    saved(RED[:2, :, 0], tmp_path / "m" / "a.png")
    with pytest.raises(
        DatasetError, match=r"a\.jpg: a mask of shape \(2, 6, 1\) does not fit a picture of 4 x 6"
    ):
        uk.data.from_folder(tmp_path, masks="m")[0]
    saved(RED[..., 0], tmp_path / "m" / "a.gif")
    with pytest.raises(DatasetError, match="are for one picture"):
        uk.data.from_folder(tmp_path, masks="m")
    with pytest.raises(DatasetError, match="there is no folder of masks none"):
        uk.data.from_folder(tmp_path, masks="none")
    with pytest.raises(DatasetError, match=r"write masks='\*_mask'"):
        uk.data.from_folder(tmp_path, masks=".")


def test_names_of_hostile_files_are_printed_safely(tmp_path):
    (tmp_path / "a\x1b[2J.png").write_bytes(b"")
    source = uk.data.from_folder(tmp_path, classes=False)
    with pytest.raises(UnikerasError) as caught:
        source[0]
    assert "\x1b" not in str(caught.value)


def test_deep_folders_and_odd_names(tmp_path):
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
    saved(RED, folder / "a.png")
    saved(RED, tmp_path / os.fsdecode(b"\xff\xfe.png"))
    assert len(uk.data.from_folder(tmp_path, classes=False)) == 2


def test_states_know_a_folder_by_its_files(pets):
    before = uk.data.from_folder(pets, size=2).shuffle(1).state
    uk.data.from_folder(pets, size=2).shuffle(1).restore(before)
    saved(RED, pets / "cat" / "9.png")
    with pytest.raises(DatasetError):
        uk.data.from_folder(pets, size=2).shuffle(1).restore(before)
