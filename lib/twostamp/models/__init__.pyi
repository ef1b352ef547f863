from . import alerce_recipe, summary
from .adapter import ADAPTER, Adapter, AdapterError, fit_adapter
from .alerce_checkpoint import load_alerce_checkpoint
from .alerce_recipe import read_alerce, train_alerce
from .answers import Predictions
from .architectures import VARIANTS, build_model
from .classifier import PRETRAINED, Classifier, export_onnx, load_classifier
from .layers import PADDING
from .prediction import predict_on_spark, predict_shipped, predict_winners
from .pretrained import average_classifiers
from .results import SearchResults, TrialResult, package_winners
from .search import make_trials, run_trials, sample_combinations
from .training import Hyperparameters

__all__ = [
    "ADAPTER",
    "PADDING",
    "PRETRAINED",
    "VARIANTS",
    "Adapter",
    "AdapterError",
    "Classifier",
    "Hyperparameters",
    "Predictions",
    "SearchResults",
    "TrialResult",
    "alerce_recipe",
    "average_classifiers",
    "build_model",
    "export_onnx",
    "fit_adapter",
    "load_alerce_checkpoint",
    "load_classifier",
    "make_trials",
    "package_winners",
    "predict_on_spark",
    "predict_shipped",
    "predict_winners",
    "read_alerce",
    "run_trials",
    "sample_combinations",
    "summary",
    "train_alerce",
]
