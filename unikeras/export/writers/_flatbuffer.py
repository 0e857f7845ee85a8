"""A note of ours inside a LiteRT file, where readers that do not know it skip it."""

from __future__ import annotations

from unikeras.export._metadata import KEY


def with_note(content: bytes, text: str) -> bytes:
    """Return a LiteRT model with a text among its metadata.

    Args:
        content: the model, as a flatbuffer.
        text: the note.
    """
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), "uint8")
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
