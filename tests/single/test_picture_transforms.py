"""Transforms of pictures: known pictures, ImageDataGenerator's arithmetic, dots that mask and boxes keep up with."""

from __future__ import annotations

import hashlib
import pickle
import warnings

import numpy as np
import pytest

from unikeras.data import transforms as T  # noqa: N812
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError, StateError, UnikerasError

pytest.importorskip("cv2", reason="OpenCV is not installed")

ABC = np.arange(1, 10, dtype="uint8").reshape(3, 3)
LINE = np.array([[1, 2, 3, 4]], "uint8")


def generator(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def smooth(height=24, width=24, channels=3):
    """Return a picture of waves, float32 from 0 to 255: near pixels have near values."""
    y, x = np.mgrid[:height, :width] / 7.0
    waves = [127.5 + 127.5 * np.sin(x + channel) * np.cos(y - channel) for channel in range(channels)]
    return np.stack(waves, axis=-1).astype("float32")


class Scripted:
    """A generator whose draws are known: each is a given share of its range."""

    def __init__(self, shares):
        self._shares = iter(shares)

    def uniform(self, low, high):
        return low + (high - low) * next(self._shares)

    def random(self):
        return next(self._shares)


# Known pictures

KNOWN = [
    (T.RandomRotation((0.25, 0.25)), ABC, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
    (T.RandomRotation((-0.25, -0.25)), ABC, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
    (T.RandomRotation((0.5, 0.5)), ABC, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
    (T.RandomFlip("horizontal", p=1), ABC, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
    (T.RandomFlip("vertical", p=1), ABC, [[7, 8, 9], [4, 5, 6], [1, 2, 3]]),
    (T.RandomFlip(p=1), ABC, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
    (
        T.RandomTranslation((1 / 3, 1 / 3), 0, fill_mode="constant", fill_value=99),
        ABC,
        [[99] * 3, [1, 2, 3], [4, 5, 6]],
    ),
    (T.RandomTranslation(0, (0.5, 0.5), fill_mode="nearest"), LINE, [[1, 1, 1, 2]]),
    (T.RandomTranslation(0, (0.5, 0.5), fill_mode="reflect"), LINE, [[2, 1, 1, 2]]),
    (T.RandomTranslation(0, (0.5, 0.5), fill_mode="wrap"), LINE, [[3, 4, 1, 2]]),
    (T.RandomTranslation(0, (-0.5, -0.5), fill_mode="constant"), LINE, [[3, 4, 0, 0]]),
    (T.RandomZoom((-0.5, -0.5), interpolation="nearest"), LINE, [[2, 2, 3, 3]]),
    (
        T.RandomZoom(0, (1, 1), fill_mode="constant", interpolation="nearest"),
        np.array([[1, 2, 3]], "uint8"),
        [[0, 2, 0]],
    ),
    (T.CenterCrop(1, 2), ABC, [[4, 5]]),
    (T.Resize(2, 2, antialias=True), np.array([[0, 4, 8, 12]] * 2, "uint8"), [[2, 10]] * 2),
    (T.Resize(1, 2, "nearest"), LINE, [[2, 4]]),
    (T.RandomBrightness((-0.1, -0.1), (0, 10)), LINE, [[0, 1, 2, 3]]),
    (
        T.RandomContrast((1, 1), (0, 5)),
        LINE,
        [[0, 2, 4, 5]],
    ),  # halves are rounded to even: 0.5, 1.5 -> 0, 2; 3.5 -> 4
]


@pytest.mark.parametrize(("transform", "picture", "expected"), KNOWN)
def test_known_pictures(transform, picture, expected):
    result = transform(picture)
    assert result[..., 0].tolist() == expected
    assert result.dtype == picture.dtype


def test_a_shear_moves_rows_in_proportion():
    dots = np.zeros((5, 9), "uint8")
    dots[:, 4] = 9
    shear = T.RandomShear(x_factor=(1, 1), fill_mode="constant", interpolation="nearest")
    columns = {tuple(np.argwhere(shear(dots, seed=seed)[..., 0])[:, 1].tolist()) for seed in range(9)}
    assert columns == {(4, 3, 2, 1, 0), (4, 5, 6, 7, 8)}  # one coin for the direction


# ImageDataGenerator

ARGUMENTS = {
    "rotation": {"rotation_range": 40},
    "shift": {"width_shift_range": 0.2, "height_shift_range": 0.3},
    "shift of pixels": {"width_shift_range": 3.5, "height_shift_range": 2.5},
    "shear": {"shear_range": 20},
    "zoom": {"zoom_range": 0.4},
    "zoom between": {"zoom_range": (0.6, 1.1)},
    "flips": {"horizontal_flip": True, "vertical_flip": True},
    "brightness": {"brightness_range": (0.5, 1.5)},
    "channels": {"channel_shift_range": 50.0},
    "rescale": {"rescale": 1 / 255},
    "function": {"preprocessing_function": lambda x: x[..., ::-1] + 1, "rescale": 0.5},
    "samplewise": {"samplewise_std_normalization": True},
    "featurewise": {"featurewise_std_normalization": True, "rescale": 1 / 255},
    "center": {"featurewise_center": True},
    "all": {
        "rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.2, "shear_range": 15, "zoom_range": 0.2,
        "horizontal_flip": True, "channel_shift_range": 20.0, "rescale": 1 / 255, "fill_mode": "reflect",
    },
}  # fmt: skip
ORDER = ["theta", "tx", "ty", "shear", "zx", "zy"]


@pytest.mark.filterwarnings(
    "ignore:Please import `affine_transform`:DeprecationWarning"
)  # Keras' use of scipy
@pytest.mark.parametrize("case", ARGUMENTS)
@pytest.mark.parametrize("size", [(24, 24), (18, 30)])
def test_image_data_generators_arithmetic(case, size):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    arguments = ARGUMENTS[case]
    ours = T.from_image_data_generator(**arguments)
    data = np.stack([smooth(*size) * scale for scale in (1, 0.5, 0.8)])
    ours.fit(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that one argument implies another
        keras_generator = ImageDataGenerator(**arguments, data_format="channels_last", dtype="float32")
    keras_generator.fit(data)
    for seed in range(5):
        shares, parameters = _draws(arguments, size, np.random.default_rng(seed))
        expected = _applied(keras_generator, data[0].copy(), parameters)
        result = ours.apply(T.Example(data[0]), Scripted(shares)).image
        assert result.dtype == np.float32
        # OpenCV rounds places to 1/32 of a pixel; brightness cuts off what is behind the point.
        scale = max(np.ptp(expected), 1e-6)
        allowed = 1.01 / 255 if "brightness" in case else 0.5 / 32
        np.testing.assert_allclose(result / scale, expected / scale, atol=allowed)


def _draws(arguments, size, random):
    """Return shares in the order in which our transforms draw, and Keras' parameters of the same draws."""
    shares, parameters = [], {}

    def draw(name, low, high):
        share = random.random()
        shares.append(share)
        parameters[name] = low + (high - low) * share

    if "rotation_range" in arguments:
        draw("theta", -arguments["rotation_range"], arguments["rotation_range"])
    # Keras 3 gives the shift of the height to the columns: here each goes where its name says.
    for name, option, length in (("ty", "height_shift_range", size[0]), ("tx", "width_shift_range", size[1])):
        if option in arguments:
            reach = arguments[option] * (length if arguments[option] < 1 else 1)
            # Our translation of a fraction is Keras' layer's, which counts the other way.
            draw(name, *((reach, -reach) if arguments[option] < 1 else (-reach, reach)))
    if "shear_range" in arguments:
        draw("shear", -arguments["shear_range"], arguments["shear_range"])
    if "zoom_range" in arguments:
        zoom = arguments["zoom_range"]
        low, high = zoom if isinstance(zoom, tuple) else (1 - zoom, 1 + zoom)
        draw("zy", low, high)
        draw("zx", low, high)
    for name in ("horizontal", "vertical"):
        if f"{name}_flip" in arguments:
            draw("share", 0, 1)
            parameters[f"flip_{name}"] = parameters.pop("share") < 0.5
    if "channel_shift_range" in arguments:
        draw("channel_shift_intensity", -arguments["channel_shift_range"], arguments["channel_shift_range"])
    if "brightness_range" in arguments:
        draw("brightness", *arguments["brightness_range"])
    return shares, parameters


def _applied(keras_generator, x, parameters):
    """Apply Keras' transform; a picture that is not square is padded, because Keras would turn it beside its center."""
    from keras.src.legacy.preprocessing import image

    places = {name: parameters.pop(name) for name in list(parameters) if name in ORDER}
    axes = {"row_axis": 0, "col_axis": 1, "channel_axis": 2, "order": 1}
    height, width = x.shape[:2]
    if height != width and places:
        mode = {"nearest": "edge", "reflect": "symmetric"}[keras_generator.fill_mode]
        rows, columns = 60 - height // 2, 60 - width // 2
        padded = np.pad(x, [(rows, rows), (columns, columns), (0, 0)], mode=mode)
        moved = image.apply_affine_transform(padded, **places, **axes, fill_mode=keras_generator.fill_mode)
        x = moved[rows : rows + height, columns : columns + width]
    elif places:
        x = image.apply_affine_transform(x, **places, **axes, fill_mode=keras_generator.fill_mode)
    return keras_generator.standardize(keras_generator.apply_transform(x, parameters))


def test_shifts_of_whole_pixels_and_of_a_list():
    for arguments, allowed in (
        ({"width_shift_range": 3}, {0, 1, 2}),
        ({"width_shift_range": [2, 4]}, {2, 4}),
        ({"width_shift_range": [0.25, 0.5]}, {2, 4}),
        ({"width_shift_range": 1}, {0}),
    ):
        transforms = T.from_image_data_generator(**arguments, fill_mode="constant", cval=-1)
        line = np.zeros((1, 8), "float32")
        shifts = set()
        for seed in range(30):
            result = transforms(line, seed=seed)[0, :, 0]
            shifts.add(int((result == -1).sum()) * (1 if result[0] == -1 else -1))
        assert shifts == {sign * shift for shift in allowed for sign in (1, -1)}


def test_heights_shift_rows():
    transforms = T.from_image_data_generator(height_shift_range=0.4, fill_mode="constant")
    rows = transforms(np.ones((8, 8), "float32"), seed=1)[..., 0]
    assert (rows == rows[:, :1]).all()
    assert rows.min() == 0


def test_brightness_of_values_beyond_bytes():
    from keras.src.legacy.preprocessing.image import apply_brightness_shift

    picture = smooth() * 3 - 100
    transforms = T.from_image_data_generator(brightness_range=(0.7, 0.7))
    np.testing.assert_allclose(transforms(picture), apply_brightness_shift(picture, 0.7, False), atol=3.1)


def test_statistics_of_augmented_pictures():
    transforms = T.from_image_data_generator(featurewise_center=True, rotation_range=90, fill_mode="constant")
    with pytest.raises(StateError, match=r"need fit\(x\)"):
        transforms(smooth())
    data = np.stack([smooth()] * 2)
    means = [
        transforms.fit(data, augment=augment, rounds=2, seed=1).transforms[-1].mean
        for augment in (False, True)
    ]
    np.testing.assert_allclose(means[0], data.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert means[1][0] < means[0][0]  # corners are empty
    with pytest.raises(ArgumentError, match="fit takes pictures"):
        transforms.fit(data[0])
    with pytest.raises(ArgumentError, match="fit saw 3 channels"):
        transforms(smooth(channels=1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"zca_whitening": True},
        {"validation_split": 0.2},
        {"data_format": "channels_first"},
        {"interpolation_order": 3},
        {"dtype": "float16"},
        {"fill_mode": "mirror"},
        {"zoom_range": 1.5},
        {"zoom_range": (0, 1)},
        {"rotation_range": "40"},
        {"rotation_range": np.nan},
        {"rotation_range": 400},
        {"brightness_range": 0.5},
        {"brightness_range": (2, 1)},
        {"width_shift_range": []},
    ],
)
def test_what_an_image_data_generator_has_and_transforms_do_not(arguments):
    with pytest.raises((ArgumentValueError, ArgumentError), match=f"{next(iter(arguments))}"):
        T.from_image_data_generator(**arguments)


# Image, mask and boxes

MOVES = [
    T.RandomRotation(0.5, fill_mode="constant"),
    T.RandomTranslation(0.3, 0.3, fill_mode="constant"),
    T.RandomShear(0.3, 0.3, fill_mode="constant"),
    T.RandomZoom((-0.3, 0.3), (-0.3, 0.3), fill_mode="constant"),
    T.RandomZoom(0.2, fill_mode="constant", mask_fill_value=0),
    T.RandomFlip("horizontal"),
    T.RandomFlip("vertical"),
    T.RandomFlip(),
    T.Resize(70, 50),
    T.Resize(50, 90, crop_to_aspect_ratio=True),
    T.CenterCrop(48, 48),
    T.RandomCrop(56, 60),
    T.RandomResizedCrop(60, 60, scale=(0.5, 1)),
    T.RandomApply([T.RandomFlip(p=1), T.RandomRotation(0.1, fill_mode="constant")]),
]


def dot(random, height=64, width=80, side=9):
    top, left = random.integers(height - side), random.integers(width - side)
    mask = np.zeros((height, width), "uint8")
    mask[top : top + side, left : left + side] = 1
    return T.Example(
        mask * np.float32(200), mask=mask, boxes=[[left, top, left + side, top + side]], box_labels=["dot"]
    )


def middle(weights):
    y, x = np.indices(weights.shape) + 0.5
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def test_a_dot_its_mask_and_its_box_stay_in_step():
    off = []
    for seed in range(200):
        random = generator(seed)
        parts = [MOVES[index] for index in random.permutation(len(MOVES))[: random.integers(1, 6)]]
        moved = T.Compose(parts).apply(dot(random), random)
        image, mask = moved.image[..., 0], moved.mask
        assert image.shape == mask.shape
        assert len(moved.boxes) == len(moved.box_labels)
        if not len(moved.boxes):
            assert mask.sum() <= 2, parts  # pixels at the very edge
            continue
        x1, y1, x2, y2 = moved.boxes[0]
        ys, xs = np.nonzero(mask)
        if len(ys):  # each warp rounds a mask's places to whole pixels
            assert x1 - 1.5 <= xs.min() <= xs.max() + 1 <= x2 + 1.5, parts
            assert y1 - 1.5 <= ys.min() <= ys.max() + 1 <= y2 + 1.5, parts
        if x1 > 0 and y1 > 0 and x2 < image.shape[1] and y2 < image.shape[0]:
            center = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
            off.append([middle(image) - center, middle(mask) - center])
            assert 0.3 < mask.sum() / ((x2 - x1) * (y2 - y1)) <= 1.5, parts
    assert len(off) > 60
    assert np.abs(off).max() < 1
    assert np.abs(off).mean(axis=0).max() < 0.25
    assert np.abs(np.mean(off, axis=0)).max() < 0.05  # half a pixel to one side would be a fault


def test_boxes_are_clipped_and_leave_with_their_labels():
    picture = np.zeros((10, 20, 1), "uint8")
    example = T.Example(
        picture, boxes=[[0, 0, 4, 4], [8, 2, 14, 6], [17, 0, 20, 10]], box_labels=[[1], [2], [3]]
    )
    shift = T.RandomTranslation(0, (0.4, 0.4))
    moved = shift.apply(example, generator())
    assert moved.boxes.tolist() == [[8, 0, 12, 4], [16, 2, 20, 6]]
    assert moved.box_labels.tolist() == [[1], [2]]
    with pytest.raises(DatasetError, match=r"1 of 3 boxes left the picture in Compose\(\[RandomTranslation"):
        T.Compose([shift], lost_boxes="raise").apply(example, generator())
    with pytest.raises(DatasetError, match="boxes left"):
        T.Compose([T.Compose([shift], lost_boxes="raise"), T.Rescale(2)]).apply(example, generator())
    back = T.Compose([shift, T.RandomTranslation(0, (-0.4, -0.4))], lost_boxes="raise")
    assert back.apply(example, generator()).boxes.tolist() == example.boxes.tolist()


def test_a_mask_is_never_interpolated():
    random = np.random.default_rng(0)
    mask = random.choice(np.array([3, 200], "uint8"), (40, 50))
    turned = T.RandomRotation(0.5, fill_mode="constant", mask_fill_value=255)
    for seed in range(5):
        example = T.Example(smooth(40, 50), mask=mask)
        moved = T.Compose([turned, T.Resize(31, 77), T.RandomBrightness(0.5)]).apply(example, generator(seed))
        assert set(np.unique(moved.mask)) == {3, 200, 255}


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32"]
)
def test_masks_keep_their_dtype(dtype):
    mask = np.array([[0, 1], [1, 0]], dtype)
    if dtype in ("int32", "int64"):
        mask[0, 1] = 2**31 - 1
    for transform in (T.RandomFlip("horizontal", p=1), T.RandomRotation((0.5, 0.5)), T.Resize(4, 4)):
        moved = transform.apply(T.Example(np.zeros((2, 2, 1), "uint8"), mask=mask), generator())
        assert moved.mask.dtype == mask.dtype
        assert moved.mask.max() == mask.max()


def test_elements_of_sources_become_examples_and_go_back():
    x = np.zeros((4, 6, 3), "uint8")

    def flipped(y):
        return T.target_of(T.RandomFlip("horizontal", p=1).apply(T.example_of(x, y), generator()), y)

    assert flipped(None) is None
    assert flipped(np.int32(3)) == 3
    assert flipped(np.arange(24).reshape(4, 6, 1))[0, :, 0].tolist() == [5, 4, 3, 2, 1, 0]
    y = flipped({"boxes": np.array([[0, 0, 2, 4]]), "labels": np.array([7])})
    assert (y["boxes"].tolist(), y["labels"].tolist()) == ([[4, 0, 6, 4]], [7])
    assert flipped({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(DatasetError, match="has the keys"):
        flipped({"boxes": np.zeros((0, 4)), "depth": 1})


# One warp of many


def test_affine_transforms_become_one_warp():
    away = [T.RandomTranslation(0, (0.5, 0.5)), T.RandomTranslation(0, (-0.5, -0.5))]
    assert T.Compose(away)(LINE)[..., 0].tolist() == LINE.tolist()
    assert away[1](away[0](LINE))[..., 0].tolist() != LINE.tolist()
    constant = T.RandomTranslation(0, (-0.5, -0.5), fill_mode="constant")
    assert T.Compose([away[0], constant])(LINE)[..., 0].tolist() == [
        [1, 2, 0, 0]
    ]  # another fill: another warp


def test_a_compose_draws_as_its_parts_do():
    parts = [
        T.RandomRotation(0.1),
        T.RandomFlip(),
        T.RandomBrightness(0.2),
        T.RandomZoom(0.2),
        T.RandomCrop(9, 9),
    ]
    together, apart = generator(5), generator(5)
    example = T.Example(smooth())
    T.Compose(parts).apply(example, together)
    for part in parts:
        example = part.apply(example, apart)
    assert together.random() == apart.random()


def test_the_same_seed_gives_the_same_bytes_and_other_seeds_do_not():
    transforms = T.Compose(
        [*MOVES[:6], T.RandomResizedCrop(20, 30), T.RandomContrast(0.3), T.RandomBrightness(0.2)]
    )
    picture = smooth().astype("uint8")
    digests = [hashlib.sha256(transforms(picture, seed=seed).tobytes()).hexdigest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    copy = pickle.loads(pickle.dumps(transforms))
    assert copy == transforms
    assert (copy(picture, seed=3) == transforms(picture, seed=3)).all()


# Batches


def test_mix_up_is_a_mean_of_two():
    x = np.array([0, 100, 200], "float32").reshape(3, 1, 1, 1) * np.ones((1, 4, 4, 1), "float32")
    mixed, y = T.MixUp(alpha=1, num_classes=3).apply_to_batch((x, np.array([0, 1, 2])), generator())
    np.testing.assert_allclose(mixed[:, 0, 0, 0], y @ [0, 100, 200], rtol=1e-5)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    assert T.MixUp().apply_to_batch(x.astype("uint8"), generator()).dtype == np.uint8


def test_cut_mix_mixes_labels_by_area_and_cuts_masks():
    x = np.arange(4, dtype="uint8").reshape(4, 1, 1, 1) * np.ones((1, 8, 8, 1), "uint8")
    for seed in range(10):
        mixed, y = T.CutMix(num_classes=4).apply_to_batch((x, np.arange(4)), generator(seed))
        areas = np.stack([(mixed == number).mean(axis=(1, 2, 3)) for number in range(4)], axis=1)
        np.testing.assert_allclose(y, areas, atol=1e-6)
        mixed, mask = T.CutMix().apply_to_batch((x, x.astype("int64")), generator(seed))
        assert (mixed == mask).all()
    assert (x == np.arange(4).reshape(4, 1, 1, 1)).all()


def test_what_cannot_be_mixed_is_named():
    x = np.zeros((2, 4, 4, 1), "uint8")
    cases = {
        "give MixUp\\(num_classes=...\\)": (T.MixUp(), (x, np.array([0, 1]))),
        "labels from 0 to 3": (T.MixUp(num_classes=3), (x, np.array([0, 3]))),
        "no mixture of masks": (T.MixUp(), (x, x)),
        "no mean for sample weights": (T.CutMix(), (x, np.eye(2), np.ones(2))),
        "no boxes, labels": (T.CutMix(), (x, {"boxes": 1, "labels": 2})),
        "a label for each picture": (T.CutMix(), (x, np.eye(3))),
        "mixes numbers": (T.CutMix(), (x, np.array(["a", "b"]))),
    }
    for message, (transform, batch) in cases.items():
        with pytest.raises(DatasetError, match=message):
            transform.apply_to_batch(batch, generator())
    with pytest.raises(ArgumentError, match="pictures of shape"):
        T.MixUp().apply_to_batch(x[0], generator())
    with pytest.raises(ArgumentValueError, match="MixUp mixes a batch, and what stands behind it"):
        T.Compose([T.MixUp(), T.Rescale(2)])
    compose = T.Compose([T.RandomFlip(), T.MixUp(num_classes=2)])
    assert compose.apply_to_batch((x, np.array([0, 1])), generator())[1].shape == (2, 2)
    assert compose(x[0]).shape == (4, 4, 1)


# Odd input

ALL = [
    *MOVES,
    T.RandomBrightness(0.2),
    T.RandomContrast(0.2),
    T.RandomChannelShift(9),
    T.Rescale(2),
    T.Function(np.sqrt),
]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 7, 3), (9, 1, 4), (5, 8, 7), (6, 6, 2)])
def test_pictures_of_any_shape_and_dtype(shape, dtype):
    picture = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    for transform in ALL:
        result = transform(picture, seed=1)
        assert result.ndim == 3
        assert result.shape[2] == (shape[2] if len(shape) == 3 else 1)
        same = not isinstance(transform, T.Rescale | T.Function) and picture.dtype.kind != "f"
        assert result.dtype == (picture.dtype if same else result.dtype)
        assert np.isfinite(result).all()


def test_no_transform_changes_what_it_is_given():
    picture, mask, boxes = smooth(), np.ones((24, 24), "uint8"), np.array([[1, 1, 9, 9]], "float32")
    copies = picture.copy(), mask.copy(), boxes.copy()
    for transform in ALL:
        transform.apply(T.Example(picture, mask=mask, boxes=boxes), generator(2))
    for now, before in zip((picture, mask, boxes), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_examples_without_boxes_left():
    example = T.Example(np.zeros((4, 4, 1), "uint8"), boxes=[], box_labels=[])
    for transform in ALL:
        moved = transform.apply(example, generator())
        assert (moved.boxes.shape, moved.boxes.dtype, len(moved.box_labels)) == ((0, 4), np.float32, 0)


IMAGE = np.zeros((4, 6, 3), "uint8")
WRONG_EXAMPLES = [
    ({"image": np.zeros(3)}, ArgumentError, "shape"),
    ({"image": np.zeros((0, 3, 1))}, ArgumentValueError, "empty"),
    ({"image": np.zeros((3, 3, 0))}, ArgumentValueError, "empty"),
    ({"image": np.zeros((1, 40_000, 1), "uint8")}, ArgumentValueError, "32767 pixels"),
    ({"image": IMAGE.astype("int32")}, ArgumentError, "astype"),
    ({"image": IMAGE.astype("complex64")}, ArgumentError, "astype"),
    ({"image": "picture.png"}, ArgumentError, "shape"),
    ({"image": IMAGE, "mask": np.zeros((6, 4))}, ArgumentValueError, "does not fit"),
    ({"image": IMAGE, "mask": np.zeros((4, 6), "U1")}, ArgumentError, "mask"),
    ({"image": IMAGE, "boxes": [1, 2, 3, 4]}, ArgumentError, "shape"),
    ({"image": IMAGE, "boxes": [[3, 0, 1, 1]]}, ArgumentValueError, "x1 <= x2"),
    ({"image": IMAGE, "boxes": [[0, 0, np.nan, 1]]}, ArgumentValueError, "finite"),
    (
        {"image": IMAGE, "boxes": [[0, 0, 1, 1]], "box_labels": [1, 2]},
        ArgumentValueError,
        "do not fit 1 boxes",
    ),
    ({"image": IMAGE, "box_labels": [1, 2]}, ArgumentValueError, "no boxes"),
    ({"image": IMAGE, "boxes": [[1, 2], [3]]}, ArgumentError, "cannot be made an array"),
]


@pytest.mark.parametrize(("parts", "error", "message"), WRONG_EXAMPLES)
def test_wrong_examples_are_named(parts, error, message):
    with pytest.raises(error, match=message):
        T.Example(**parts)


WRONG = [
    (T.Compose, ([T.RandomFlip],)), (T.Resize, (3, 40_000)),
    (T.Resize, (0, 3)), (T.Resize, (-3, 3)), (T.Resize, (2.5, 3)), (T.Resize, (3, 3, "cubic")),
    (T.CenterCrop, (True, 3)), (T.RandomCrop, (3, 0)), (T.RandomRotation, ((0.3, 0.1),)),
    (T.RandomRotation, (-0.1,)), (T.RandomRotation, (2,)), (T.RandomRotation, ("a",)),
    (T.RandomRotation, ((1, 2, 3),)), (T.RandomRotation, (np.inf,)), (T.RandomTranslation, (2, 0)),
    (T.RandomZoom, ((-1, 0),)), (T.RandomShear, (1.5,)), (T.RandomFlip, ("sideways",)),
    (T.RandomFlip, ("vertical", 2)), (T.RandomBrightness, (2,)), (T.RandomBrightness, (0.1, (5, 1))),
    (T.RandomBrightness, (0.1, 255)), (T.RandomContrast, ((-2, 0),)), (T.RandomResizedCrop, (3, 3, (0, 1))),
    (T.RandomResizedCrop, (3, 3, (0.5, 2))), (T.Normalize, (0, 0)), (T.Normalize, ("a", 1)),
    (T.Rescale, (None,)), (T.MixUp, (0,)), (T.MixUp, (0.2, 0)), (T.MixUp, (0.2, 2.5)),
    (T.CutMix, ((-1, 1),)), (T.Function, (3,)), (T.Compose, ([3],)), (T.Compose, ("flip",)),
    (T.Compose, ([len],)), (T.Compose, ([], "keep")), (T.RandomApply, (T.MixUp(),)),
    (T.RandomApply, (T.Rescale(2), 3)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "arguments"), WRONG)
def test_wrong_arguments_are_named(make, arguments):
    with pytest.raises(UnikerasError, match=r"received|function|is a class|mixes|mix a batch|no transform"):
        make(*arguments)


def test_a_constant_that_the_dtype_cannot_hold_is_named():
    shift = {"height_factor": (0.5, 0.5), "fill_mode": "constant"}
    example = T.Example(IMAGE, mask=IMAGE[..., 0])
    for arguments in (
        {"fill_value": 300},
        {"fill_value": 0.5},
        {"mask_fill_value": -1},
        {"mask_fill_value": 256},
    ):
        with pytest.raises(ArgumentValueError, match=r"fill_value=\S+ is no value of uint8"):
            T.RandomTranslation(**shift, **arguments).apply(example, generator())
    mask = T.Example(IMAGE, mask=IMAGE[..., 0].astype("int16"))
    assert T.RandomTranslation(**shift, mask_fill_value=-1).apply(mask, generator()).mask.min() == -1


def test_what_does_not_fit_a_picture_is_named():
    for seed, error in ((-1, ArgumentValueError), ("a", ArgumentError), (1.5, ArgumentError)):
        with pytest.raises(error, match="seed has to be"):
            T.Rescale(2)(IMAGE, seed=seed)
    with pytest.raises(ArgumentError, match="2 values in mean, and the picture has 3 channels"):
        T.Normalize([1, 2], [1, 2])(IMAGE)
    with pytest.raises(ArgumentValueError, match="changes values only"):
        T.Function(lambda picture: picture[1:])(IMAGE)
    with pytest.raises(ArgumentValueError, match="has no layer in Keras"):
        T.Function(np.sqrt).as_layer()
