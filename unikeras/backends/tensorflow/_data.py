"""What goes into fit and comes out of predict on TensorFlow: sparse and ragged tensors besides dense ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import convert_to_np_if_not_ragged, potentially_ragged_concat
from keras.src.trainers.data_adapters import data_adapter_utils
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter


def batches(adapter: Any) -> Iterable[Any]:
    """Return the batches of a data adapter, with sparse and ragged ones as TensorFlow has them."""
    if isinstance(adapter, TFDatasetAdapter):
        return adapter.get_tf_dataset()
    if isinstance(adapter, ArrayDataAdapter):
        # Arrays are sliced faster than a pipeline is made of them, which would make dense arrays of the others.
        return adapter.get_numpy_iterator() if _is_dense(adapter._inputs) else adapter.get_tf_dataset()
    return map(_with_native_sparse, adapter.get_numpy_iterator())


def concatenate(outputs: Sequence[Any]) -> Any:
    """Join outputs along the first axis: an array, or ragged where their other axes differ in size."""
    tensors = [output if _is_composite(output) else tf.convert_to_tensor(output) for output in outputs]
    if any(_is_composite(tensor) for tensor in tensors) or len({tensor.shape[1:] for tensor in tensors}) > 1:
        return convert_to_np_if_not_ragged(potentially_ragged_concat(tensors))
    arrays = [tensor.numpy() for tensor in tensors]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _is_dense(inputs: Any) -> bool:
    return not any(_is_composite(x) or _is_foreign(x) for x in keras.tree.flatten(inputs))


def _is_composite(x: Any) -> bool:
    return isinstance(x, tf.SparseTensor | tf.RaggedTensor)


def _is_foreign(x: Any) -> bool:
    return bool(data_adapter_utils.is_scipy_sparse(x) or data_adapter_utils.is_jax_sparse(x))


def _with_native_sparse(batch: Any) -> Any:
    return keras.tree.map_structure(_native_sparse, batch)


def _native_sparse(x: Any) -> Any:
    if data_adapter_utils.is_scipy_sparse(x):
        return data_adapter_utils.scipy_sparse_to_tf_sparse(x)
    return data_adapter_utils.jax_sparse_to_tf_sparse(x) if data_adapter_utils.is_jax_sparse(x) else x
