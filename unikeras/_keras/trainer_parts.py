"""The parts of Keras' trainer that a loop of our own is made of: batches, callbacks and logs."""

from keras.src.backend.config import max_epochs
from keras.src.callbacks import CallbackList
from keras.src.trainers.data_adapters.array_slicing import train_validation_split
from keras.src.trainers.data_adapters.data_adapter_utils import (
    class_weight_to_sample_weights,
    get_tensor_spec,
    unpack_x_y_sample_weight,
)
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
from keras.src.trainers.epoch_iterator import EpochIterator
from keras.src.utils.python_utils import pythonify_logs
from keras.src.utils.traceback_utils import filter_traceback

__all__ = [
    "CallbackList",
    "EpochIterator",
    "PyDatasetAdapter",
    "class_weight_to_sample_weights",
    "filter_traceback",
    "get_tensor_spec",
    "max_epochs",
    "pythonify_logs",
    "train_validation_split",
    "unpack_x_y_sample_weight",
]
