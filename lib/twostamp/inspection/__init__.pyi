from .agreement import (
    UNSEEN,
    check_agreement,
    choose_examples,
    choose_objects,
    share_of_stamps,
    summarise_agreement,
    tabulate_attribution_shares,
)
from .attribution import (
    ExplainedObjects,
    integrate_gradients,
    load_explained_objects,
    measure_distance,
    occlude,
    pool_strength,
    summarise_completeness,
)
from .baselines import predict_baselines
from .forest import Forests, fit_forests, stack_metadata
from .permutation import compare_importance, permute_network, rank_inputs, summarise_importance

__all__ = [
    "UNSEEN",
    "ExplainedObjects",
    "Forests",
    "check_agreement",
    "choose_examples",
    "choose_objects",
    "compare_importance",
    "fit_forests",
    "integrate_gradients",
    "load_explained_objects",
    "measure_distance",
    "occlude",
    "permute_network",
    "pool_strength",
    "predict_baselines",
    "rank_inputs",
    "share_of_stamps",
    "stack_metadata",
    "summarise_agreement",
    "summarise_completeness",
    "summarise_importance",
    "tabulate_attribution_shares",
]
