from .arrays import Arrays, Preparation, read_metadata
from .features import FEATURE_LISTS, RECIPES, Scaler, compute_features, feature_names_two
from .label_files import read_column
from .labels import read_labels
from .real_packets import NO_PACKETS, extract_real, select_judging
from .release import PairsDataset, open_dataset, write_dataset
from .sources import describe_sources, find_archive, prepare_inputs
from .splits import cap_classes, count_subclasses, filter_pairs, make_splits, split_objects
from .stamps import QUANTILES, RANGE, crop_stamps, normalise_stamps
from .tfrecord_writer import write_records
from .tfrecords import Records

__all__ = [
    "FEATURE_LISTS",
    "NO_PACKETS",
    "QUANTILES",
    "RANGE",
    "RECIPES",
    "Arrays",
    "PairsDataset",
    "Preparation",
    "Records",
    "Scaler",
    "cap_classes",
    "compute_features",
    "count_subclasses",
    "crop_stamps",
    "describe_sources",
    "extract_real",
    "feature_names_two",
    "filter_pairs",
    "find_archive",
    "make_splits",
    "normalise_stamps",
    "open_dataset",
    "prepare_inputs",
    "read_column",
    "read_labels",
    "read_metadata",
    "select_judging",
    "split_objects",
    "write_dataset",
    "write_records",
]
