"""Why one call of a graph cannot be lowered."""


class Refusal(Exception):
    """A rule cannot lower this call; the text says why, as the end of a sentence about the layer."""
