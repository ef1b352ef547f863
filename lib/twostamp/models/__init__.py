"""The classifiers: architectures, training, search, and trained models to hand on. Importing it loads TensorFlow."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# TensorFlow switches oneDNN on by itself on some processors only; a fifth faster on the others, and one set of kernels.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from twostamp.models.alerce import load_alerce_checkpoint
from twostamp.models.classifier import export_onnx, load_model

__all__ = ["export_onnx", "load_alerce_checkpoint", "load_model"]
