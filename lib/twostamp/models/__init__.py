"""The classifiers: architectures, training, search, and trained classifiers to load."""

import os
import sys
from importlib.util import find_spec

from twostamp.utils.extras import attach_room
from twostamp.utils.quiet import QuietImport

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow switches oneDNN on by itself on some processors only; a fifth faster on the others, and one set of kernels.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# On a GPU: a notebook's kernel would take the whole card at its first operation, and its workers would find none.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Keras takes its backend from here or from the user's keras.json; trainings by JAX set it for their workers.
if os.environ.get("KERAS_BACKEND") != "jax" or find_spec("jax") is None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
if "tensorflow" not in sys.modules:
    sys.meta_path.insert(0, QuietImport("tensorflow"))

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
