"""Warnings and log messages of libraries that say nothing to a user, ignored where they arise."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence

# What torch.export says of its own graphs: of checks it writes into them, of an LSTM's weights under two names.
EXPORTED_PROGRAM = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "_check_is_size will be removed",
    r"The tensor attributes? .*_flat_weights",
)


@contextlib.contextmanager
def ignore_warnings(
    *messages: str, categories: Sequence[type[Warning]] = (), loggers: Sequence[str] = ()
) -> Iterator[None]:
    """Ignore some warnings, and all that some loggers say below critical, inside the block.

    Args:
        *messages: regular expressions for how a warning begins.
        categories: classes of warnings.
        loggers: names of loggers.
    """
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    with warnings.catch_warnings():
        for message in messages:
            warnings.filterwarnings("ignore", message=message)
        for category in categories:
            warnings.simplefilter("ignore", category)
        try:
            for logger in found:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(found, levels, strict=True):
                logger.setLevel(level)
