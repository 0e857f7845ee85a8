"""What Keras saves, and the reader of its files."""

from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES
from keras.src.saving.saving_lib import load_model

__all__ = ["GLOBAL_CUSTOM_NAMES", "KerasSaveable", "load_model"]
