"""Trained models as SavedModels that need neither memo_tf nor Keras."""

from memo_tf.exporting.saved_model import export_saved_model
from memo_tf.exporting.saved_model import features_of
from memo_tf.exporting.saved_model import keras_model
from memo_tf.exporting.saved_model import KERAS_NAME

__all__ = ["KERAS_NAME", "export_saved_model", "features_of", "keras_model"]
