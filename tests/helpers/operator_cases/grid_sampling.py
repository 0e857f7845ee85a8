"""Images at places inside and outside of them, in every mode."""

from __future__ import annotations

import itertools

from helpers.operator_cases import OperatorCase, made, numbers

IMAGE, GRID = numbers(2, 3, 5, 4), numbers(2, 3, 6, 2)
VOLUME, PLACES = numbers(2, 2, 3, 4, 5), numbers(2, 2, 3, 2, 3)

CASES = {
    f"image_{mode}_{padding}_{corners}": OperatorCase(
        "aten.grid_sampler_2d.default", (IMAGE, GRID, mode, padding, corners)
    )
    for mode, padding, corners in itertools.product((0, 1, 2), (0, 1, 2), (False, True))
} | made(
    either=("aten.grid_sampler.default", IMAGE, GRID, 0, 2, False),
    volume=("aten.grid_sampler_3d.default", VOLUME, PLACES, 0, 0, False),
    volume_nearest=("aten.grid_sampler_3d.default", VOLUME, PLACES, 1, 1, True),
    affine=("aten.affine_grid_generator.default", numbers(2, 2, 3), [2, 3, 4, 5], False),
    affine_corners=("aten.affine_grid_generator.default", numbers(2, 2, 3), [2, 3, 4, 1], True),
    affine_volume=("aten.affine_grid_generator.default", numbers(2, 3, 4), [2, 3, 2, 4, 5], False),
)
