from . import alerce, classifier, summary
from .alerce import load_alerce_checkpoint, read_alerce, train_alerce
from .architectures import VARIANTS, build_model
from .classifier import export_onnx, load_model, package_winners
from .layers import PADDING
from .prediction import predict_on_spark, predict_winners
from .search import (
    best_hyperparameters,
    choose_models,
    choose_winners,
    find_best_stacked,
    make_trials,
    rank_combinations,
    read_results,
    run_trials,
    sample_combinations,
    select_trials,
)
from .training import Hyperparameters

__all__ = [
    "PADDING",
    "VARIANTS",
    "Hyperparameters",
    "alerce",
    "best_hyperparameters",
    "build_model",
    "choose_models",
    "choose_winners",
    "classifier",
    "export_onnx",
    "find_best_stacked",
    "load_alerce_checkpoint",
    "load_model",
    "make_trials",
    "package_winners",
    "predict_on_spark",
    "predict_winners",
    "rank_combinations",
    "read_alerce",
    "read_results",
    "run_trials",
    "sample_combinations",
    "select_trials",
    "summary",
    "train_alerce",
]
