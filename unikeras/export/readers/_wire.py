"""Protobuf's wire format, as far as is needed to see what a message holds without a class for it."""

from __future__ import annotations

from collections.abc import Iterator

# Deeper nesting than any exporter writes.
_DEEPEST = 64


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield each field that holds bytes, a text or a message, with its number.

    Raises:
        ValueError: the bytes are no message.

    Example:
        >>> [(number, bytes(content)) for number, content in fields(memoryview(b"\\x08\\x01\\x12\\x02hi"))]
        [(2, b'hi')]
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == 2:
            length, place = _varint(message, place)
            end = place + length
            if end <= len(message) and number:
                yield number, message[place:end]
        elif kind == 0:
            _, end = _varint(message, place)
        elif kind in (1, 5):
            end = place + (8 if kind == 1 else 4)
        else:
            raise ValueError("it is no protobuf message")
        if end > len(message) or not number:
            raise ValueError("it is cut off, or no protobuf message")
        place = end


def inside(message: memoryview, *path: int) -> Iterator[memoryview]:
    """Yield the messages that stand under a path of field numbers."""
    for number, content in fields(message):
        if number == path[0]:
            if path[1:]:
                yield from inside(content, *path[1:])
            else:
                yield content


def text(message: memoryview, number: int) -> str:
    """Return the text of a field; as protobuf does, the last one."""
    found = [content for key, content in fields(message) if key == number]
    return bytes(found[-1]).decode() if found else ""


def check_depth(depth: int) -> int:
    """Return the depth of the next nested message.

    Raises:
        ValueError: it is too deep.
    """
    if depth >= _DEEPEST:
        raise ValueError(f"its graphs are nested more than {_DEEPEST} deep")
    return depth + 1


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("it is cut off, or no protobuf message")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it is no protobuf message")
