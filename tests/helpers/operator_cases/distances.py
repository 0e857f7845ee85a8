"""Distances of vectors, among them equal ones."""

from __future__ import annotations

import math

import numpy as np

from helpers.operator_cases import changed, made, numbers

X = numbers(2, 4, 3)
Y = np.concatenate([numbers(2, 2, 3, seed=1), X[:, 1:2]], 1)

CASES = made(
    euclidean=("aten.cdist.default", X, Y),
    of_three=("aten.cdist.default", X, Y, 3.0),
    of_one=("aten.cdist.default", X, Y, 1.0),
    of_half=("aten.cdist.default", X, numbers(2, 5, 3, seed=2), 0.5),
    largest=("aten.cdist.default", X, numbers(2, 5, 3, seed=2), math.inf),
    unequal=("aten.cdist.default", X, Y, 0.0),
    forward=("aten._cdist_forward.default", X, Y, 2.0, None),
    plain=("aten._euclidean_dist.default", X, Y + 1),
)
CASES |= changed(made(of_pairs=("aten._pdist_forward.default", X[0], 3.0)), dynamic=False, gradients=False)
