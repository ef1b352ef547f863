"""Parameters of a run: one flat YAML file, validated as a whole before anything runs."""

import difflib
import math
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from twostamp.taxonomy import CLASSES, SUBCLASSES

SIMULATED = "simulated"
ALERCE = "alerce"
PUBLIC = "public"
ASSEMBLED = "assembled"

PASSWORD = re.compile(r"(?<=://)[^/:@\s]*:(?!\d+/)\S+(?=@)|(?<=password=)[^&\s]+", re.IGNORECASE)
"""User and password in a URL; a password may hold a slash."""

TRAINING_OPTIONS = (
    "warmup_fraction",
    "dropout_layers",
    "siamese",
    "batch_normalisation",
    "entropy_beta",
    "mixed_precision",
)
"""Parameters that are arguments of `twostamp.models.training.train_model` with the same name."""

_GRID = tuple(f"grid_{name}" for name in ("kernel_size", "crop_size", "batch_size", "learning_rate", "dropout_rate"))
_PROMOTABLE = ("all", *(subclass.name for subclass in SUBCLASSES), *(f"{name}-unspecified" for name in CLASSES))
_NIGHT = r"\d{4}-?\d\d-?\d\d"
_NIGHTS = rf"^({_NIGHT}(-{_NIGHT})?([,\s]+|$))*$"

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Rates = Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
Variant = Literal["stamp_23", "stamp_26", "stacked", "separated", "one_or_two", "one_or_two_drift_safe"]


class Parameters(BaseModel):
    """All parameters of a run, with the values of ``params/quick.yaml`` as defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    run_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "quick"
    """Name of the run; it writes ``outputs/<run_name>/`` and nothing else."""
    seed: Count = 20210901
    """Seed of every random choice."""
    language: Literal["en", "es"] = "en"
    """Language of titles in the ledger, captions and the report; ``es`` has the thesis's own names."""
    mark: str = ""
    """Sentence on every figure and table of the run; a simulated run adds "simulated survey" itself."""

    # Alerts
    archive: str = SIMULATED
    """``simulated``, or a folder or URL with alert packets (``$VARIABLES`` are expanded). ``alerce``: the first two
    alerts of every labelled object from ALeRCE's API. ``public``: ``nights`` of ZTF's public archive."""
    labels: str = SIMULATED
    """``simulated``; a CSV file in the form of thesis Table 3.4; or ``assembled`` from the sources below."""
    label_csvs: list[str] = []
    """CSV files with labels of Table 3.3, in old or new names."""
    label_columns: dict[str, str] = {}
    """objectId, classALeRCE, subclassALeRCE -> their names in ``label_csvs``, if they differ."""
    bogus_csvs: list[str] = []
    """CSV files of bogus objects, with a column objectId."""
    bogus_reports: str = ""
    """CSV file with one report of a bogus per row; empty for none."""
    report_columns: dict[str, str] = {}
    """objectId, astronomer -> their names in ``bogus_reports``; verdict -> a column with the value ``bogus`` for a
    bogus."""
    bogus_astronomers: Positive = 2
    """Fewest astronomers who reported an object as bogus."""
    asteroids: Count = 0
    """Asteroids to draw from the database (the thesis: 60 000)."""
    database: str = ""
    """URL without a password, path or address of a JSON file, or a ``$VARIABLE`` that holds a URL or path; see
    `twostamp.alerts.alerce_database.find_connection`."""
    broker_labels: list[Annotated[str, Field(pattern=r"^[^/]+/.+$")]] = []
    """``classifier/class`` of ALeRCE; its most certain objects become labels if they have no other."""
    broker_probability: Fraction = 0.9
    broker_per_label: Positive = 300
    """Most objects for each of ``broker_labels``."""
    broker_rate: PositiveFloat = 5.0
    """Requests per second to ALeRCE's API."""
    broker_workers: Positive = 4
    broker_api_url: str = ""
    broker_avro_url: str = ""
    """Other servers than ALeRCE's."""
    nights: Annotated[str, Field(pattern=_NIGHTS)] = ""
    """Nights of the public archive: ``20180601-20180630,20190101``."""
    whole_nights: bool = False
    """Keep whole nights (a million alerts each), not only the labelled objects' packets; section 6.6 needs them."""
    nights_url: str = "https://ztf.uw.edu/alerts/public/"
    partnership: bool = False
    """Train on, and release, objects with alerts of ZTF's partnership (programid 2 and 3), which are not public."""
    real_archive: str = "$TWOSTAMP_REAL_ALERTS"
    """Real packets with a labels.csv, to compare a simulated survey with; empty if there are none."""
    alerce_checkpoint: str = "$TWOSTAMP_ALERCE_CHECKPOINT"
    """Common start of the file names of ALeRCE's published checkpoint (``.../model``), next to ``feature_stats.json``
    or ``.pkl``; used in notebook 18. Empty for none."""
    tns_csv: str = ""
    """Export of the Transient Name Server; empty for a simulated one."""
    survey_pairs_per_class: Positive = 230
    survey_unlabelled_objects: Count = 400
    survey_nights: Annotated[int, Field(gt=0, le=1188)] = 60
    """Nights of the simulated survey, of the days from 2018 June to 2021 August."""
    survey_known_share: Fraction = 0.0
    """Share of simulated objects with alerts from before the archive begins."""
    spark_master: str = "local[*,4]"
    core_nodes: Positive = 30
    core_price: PositiveFloat = 0.185
    master_price: PositiveFloat = 0.192
    cluster_minutes: PositiveFloat = 36.0

    # Exploration and preparation
    eda_per_class: Positive = 2000
    deltajd_max: PositiveFloat = 100.0
    ssdistnr_on: Literal["both", "first"] = "both"
    cap_per_class: Positive = 200
    validation_per_class: Positive = 25
    test_per_class: Positive = 25
    normalisation: Literal["range", "literal", "minmax"] = "range"
    nan_value: float = 2.0
    crop_before_normalising: bool = False
    metadata_recipe: Literal["thesis", "alerce"] = "thesis"

    # Models and search
    search_variants: Annotated[list[Variant], Field(min_length=1)] = ["stamp_23", "stamp_26", "stacked", "separated"]
    grid_kernel_size: Annotated[list[Literal[3, 5]], Field(min_length=1)] = [3]
    grid_crop_size: Annotated[list[Literal[21, 41, 42, 63]], Field(min_length=1)] = [21]
    grid_batch_size: Annotated[list[Positive], Field(min_length=1)] = [32]
    grid_learning_rate: Rates = [2e-3]
    grid_dropout_rate: Rates = [0.3]
    training_alerts: Literal["pairs", "first"] = "pairs"
    """Train on objects with two alerts, or on first alerts alone (stamp classifiers only)."""
    pretrained_run: str = ""
    """Run whose two-stamp models notebook 05 applies to this run's pairs; empty for none."""
    n_combinations: Positive = 1
    n_repetitions: Positive = 5
    epochs: Positive = 20
    width: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Number of filters and neurons of every trained network, as a share of the thesis's."""
    warmup_fraction: Fraction = 0.05
    dropout_layers: Literal[1, 3] = 1
    siamese: bool = False
    batch_normalisation: bool = True
    entropy_beta: Annotated[float, Field(ge=0)] = 0.0
    report_weights: Literal["last", "best"] = "last"
    hide_second: Fraction = 0.5
    """Share of objects per training step whose second alert is hidden from the variant ``one_or_two``."""
    cadence_augmentation: bool = False
    """Train with weather gaps that are redrawn at each step; not in the thesis."""
    cadence_share: Fraction = 0.5
    """Share of objects per step whose ``deltajd`` gets a gap."""
    cadence_gap: Annotated[float, Field(gt=1)] = 60.0
    """Longest gap, nights; the logarithm of gaps is uniform from one night upwards."""
    cadence_start: Fraction = 0.5
    """Share of the training steps before the first gap: without gaps, stamps are learned sooner."""
    workers: Positive = 2
    threads_per_trial: Positive = 1
    mixed_precision: bool = False
    """Train in bfloat16 on hardware with bfloat16 products: faster, but not the thesis's precision."""
    cache_bytes: Count = 1 << 30
    """TensorFlow streams larger (cropped) training sets from disk at every epoch."""
    engine: Literal["tensorflow", "jax"] = "tensorflow"
    """Training engine: TensorFlow, or JAX with one accelerator per worker (extra ``jax-cuda``); result files are the
    same."""
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10.0
    """Minutes between two stored states of a training, from which a killed one resumes; 0: every epoch."""
    tensorboard: bool = False
    """Log every training for ``make tensorboard``; loading TensorBoard takes some seconds per worker."""
    alerce_baseline: bool = False
    """Train ALeRCE's own recipe too, an additional row in tables 6.1 and 6.4 (decision T10)."""

    # Results
    best_models: Positive = 5
    latency_repeats: Positive = 200
    """Measurements of every prediction, unless they take over one second (at least five)."""
    latency_batch_sizes: Annotated[list[Positive], Field(min_length=1)] = [1, 10, 100, 1000]
    cone_step: Annotated[float, Field(gt=0, le=90)] = 10.0
    cone_radius: Annotated[float, Field(gt=0, le=90)] = 7.0710678
    cone_cap: Positive = 5000
    min_dec: Annotated[float, Field(ge=-90, lt=90)] = -31.0
    unlabelled_from: Literal["archive", "database"] = "archive"
    """Source of the objects in the cones: the archive's alerts, or ALeRCE's database."""
    healpix_nside: Positive = 16
    forest_count: Positive = 20
    forest_trees: Positive = 100
    ablation_repetitions: Positive = 1
    promote: list[str] = ["YSO"]
    """Subclasses promoted to classes by notebook 09; ``[all]`` promotes every subclass."""
    promote_repetitions: Positive = 2

    # Beyond the thesis (notebooks 10 and on)
    repeated_splits: Annotated[int, Field(ge=2)] = 4
    """Splits on which notebook 10 trains every model, each with its own seed and order."""
    bootstrap_resamples: Annotated[int, Field(ge=100)] = 2000
    equivalence_margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Largest difference of accuracy that counts as equal."""
    null_worlds: Annotated[int, Field(ge=20)] = 100
    """Simulated comparisons of equally good models, for the false-positive rates of notebook 10."""
    calibration_bins: Annotated[int, Field(ge=2)] = 10
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of objects of each class whose conformal set should hold the class."""
    night_mix: dict[str, PositiveFloat] = {}
    """Share of each class among a night's new objects; empty to estimate it from the run's unlabelled ones."""
    revision_repetitions: Positive = 2
    """Trainings of every model in notebook 12."""
    gap_nights: Annotated[list[PositiveFloat], Field(min_length=1)] = [1, 3, 10, 30]
    """Weather gaps (nights) between the two alerts, tested in notebook 12."""
    gain_repetitions: Count = 0
    """Trainings of each model in every design of notebook 12 (placebos and learning curves); 0 leaves them out."""
    gain_sizes: list[Positive] = []
    """Training objects per class in these designs, in addition to all."""
    gain_epochs: list[Positive] = []
    gain_widths: list[Annotated[float, Field(gt=0, le=1)]] = []
    gain_noise: list[Fraction] = []
    """Shares of wrong training labels."""
    baseline_repetitions: Positive = 5
    """Seeds of the baselines of notebook 05."""
    ageing_years: Annotated[int, Field(ge=2)] = 7
    """Years of the simulated survey of notebook 13; the first is the training set."""
    ageing_pairs_per_class: Positive = 16
    """Its objects with two alerts per class in each year after the first."""
    ageing_first_year: PositiveFloat = 5.0
    """Ratio of the first year's objects to those of a later year."""
    ageing_nights: Annotated[int, Field(gt=0, le=364)] = 48
    """Its nights per year."""
    ageing_repetitions: Annotated[int, Field(ge=2)] = 2
    """Trainings of each model on the first year."""
    ageing_epochs: Positive = 8
    """Epochs of the trainings in notebook 13."""
    real_folds: Annotated[int, Field(ge=2)] = 3
    """Folds of the real packets in notebook 18, each predicted by models trained on the others."""
    real_sizes: list[Positive] = [50, 100]
    """Numbers of real packets on which notebook 18 fine-tunes a simulated network, besides all of them."""
    real_epochs: Positive = 8
    """Epochs of the trainings on real packets in notebook 18."""
    audit_repetitions: Positive = 2
    """Trainings with coordinates in notebook 14, and as many without."""
    audit_objects: Annotated[int, Field(ge=2)] = 20
    """Test objects with pixel attributions in notebook 14."""
    audit_sky_objects: Annotated[int, Field(ge=2)] = 400
    """Most unlabelled objects that notebook 14 classifies with and without coordinates."""
    attribution_steps: Annotated[int, Field(ge=2)] = 16
    """Points on the path from baseline to object at which notebook 14 takes gradients."""
    permutations: Positive = 5
    """Permutations of every feature of the network in notebook 14."""
    specification_count: Annotated[int, Field(ge=2)] = 8
    """Specifications in notebook 15, of 138 240."""
    specification_repetitions: Positive = 1
    """Trainings of each model of a specification."""
    night: Annotated[str, Field(pattern=r"^(\d{8})?$")] = ""
    """UTC date YYYYMMDD for notebooks 16 and 17; empty for the night with the most alerts of a simulated survey."""
    night_candidates: Positive = 20
    """Candidates that notebook 16 lists."""
    hunter_query: str = ""
    """Candidates in notebook 17: a pandas query, for example ``p_SN > 0.6 and n_alerts == 2``; empty for all."""
    hunter_repeats: Fraction = 0.1
    """Share of candidates shown twice, to measure how often a person repeats her verdict."""

    @field_validator("archive", "labels", "real_archive", "alerce_checkpoint", "tns_csv", "bogus_reports")
    @classmethod
    def _expand(cls, value: str, info: ValidationInfo) -> str:
        expanded = os.path.expandvars(value)
        if "$" not in expanded:
            return expanded
        if info.field_name not in ("real_archive", "alerce_checkpoint", "tns_csv"):
            tarballs = (
                "a folder of nightly tarballs (ztf_public_YYYYMMDD.tar.gz, from https://ztf.uw.edu/alerts/public/)"
            )
            wanted = tarballs if info.field_name == "archive" else "a CSV file"
            raise ValueError(f"the environment variable is not set; point it to {wanted}")
        return ""

    @field_validator("label_csvs", "bogus_csvs")
    @classmethod
    def _expand_all(cls, values: list[str]) -> list[str]:
        return [os.path.expandvars(value) for value in values]

    @field_validator("database", "nights_url", "broker_api_url", "broker_avro_url")
    @classmethod
    def _without_password(cls, value: str) -> str:
        # Parameters are written into executed notebooks and manifests, and these are passed on.
        if PASSWORD.search(value):
            raise ValueError("holds a password; put the whole URL into an environment variable and write $VARIABLE")
        return value

    @field_validator("archive", "labels", "real_archive", "tns_csv", "bogus_reports", "label_csvs", "bogus_csvs")
    @classmethod
    def _without_key(cls, value: Any) -> Any:
        # Variables in these are expanded, so a variable would not hide the password.
        if any(map(PASSWORD.search, [value] if isinstance(value, str) else value)):
            raise ValueError("holds a password; leave it to the store's own settings (~/.netrc, AWS_SECRET_ACCESS_KEY)")
        return value

    @field_validator("search_variants", *_GRID)
    @classmethod
    def _without_repeats(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError("holds a value twice, and its trainings would count twice")
        return values

    @field_validator("promote", "night_mix")
    @classmethod
    def _known_names(cls, values: Any, info: ValidationInfo) -> Any:
        known = CLASSES if info.field_name == "night_mix" else _PROMOTABLE
        if unknown := set(values).difference(known):
            raise ValueError(f"{min(unknown)!r} is none of {', '.join(known)}")
        return values

    @field_validator("healpix_nside")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Parameters":
        if (self.archive == SIMULATED) != (self.labels == SIMULATED):
            raise ValueError("archive and labels are either both 'simulated' or both given")
        for wanting, needed in (
            (self.archive == PUBLIC, "nights"),
            (self.asteroids > 0, "database"),
            (self.unlabelled_from == "database", "database"),
        ):
            if wanting and not getattr(self, needed):
                raise ValueError(f"{needed} is empty, and archive, asteroids or unlabelled_from need it")
        label_sources = (self.label_csvs, self.bogus_csvs, self.bogus_reports, self.asteroids, self.broker_labels)
        if (self.labels == ASSEMBLED) != any(label_sources):
            raise ValueError("labels is 'assembled' exactly when there is something to assemble, e.g. label_csvs")
        if self.training_alerts == "first" and not all(name.startswith("stamp_") for name in self.search_variants):
            raise ValueError("training_alerts is 'first', so search_variants can only be stamp_23 and stamp_26")
        if self.cap_per_class <= self.validation_per_class + self.test_per_class:
            raise ValueError("cap_per_class leaves no training object beside validation_per_class and test_per_class")
        if min(self.grid_batch_size) < len(CLASSES):
            raise ValueError(f"grid_batch_size is {len(CLASSES)} or more: a batch has objects of every class")
        combinations = math.prod(len(getattr(self, name)) for name in _GRID)
        if self.n_combinations > combinations:
            raise ValueError(f"n_combinations is {self.n_combinations}, but the grid has only {combinations}")
        return self

    def training_options(self) -> dict[str, Any]:
        """Return the settings shared by all trainings of the run; see `TRAINING_OPTIONS`."""
        return {name: getattr(self, name) for name in TRAINING_OPTIONS}

    @property
    def simulated(self) -> bool:
        """Return whether the alerts come from the simulated survey."""
        return self.archive == SIMULATED


class ParameterError(ValueError):
    """An invalid parameter file; the message is one sentence."""


def make_parameters(values: dict[str, Any], source: str = "parameters") -> Parameters:
    """Validate parameters as a whole.

    Parameters
    ----------
    values : dict
        Names and values.
    source : str
        What to name in an error: a file or a notebook.

    Returns
    -------
    Parameters

    Raises
    ------
    ParameterError
        One sentence for each unknown key, wrong type or impossible value.

    Examples
    --------
    >>> make_parameters({"epochs": 5}).epochs
    5
    >>> make_parameters({"epocs": 5}, "mine.yaml")
    Traceback (most recent call last):
    twostamp.params.ParameterError: mine.yaml: unknown parameter 'epocs'; did you mean 'epochs'?
    """
    try:
        return Parameters.model_validate(values)
    except ValidationError as error:
        raise ParameterError("\n".join(f"{source}: {_sentence(entry)}" for entry in error.errors())) from None


def _sentence(entry: Any) -> str:
    name = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Parameters.model_fields, n=1)
        return f"unknown parameter '{name}'" + (f"; did you mean '{near[0]}'?" if near else "; remove it")
    message = entry["msg"].removeprefix("Value error, ")
    shown = PASSWORD.sub("***", repr(entry["input"]))
    return f"parameter '{name}' is {shown}: {message}" if name else message


def read_parameters(path: str | Path, without: Collection[str] = ()) -> Parameters:
    """Read and validate a parameter file.

    Parameters
    ----------
    path : path-like
    without : collection of str
        Parameters that the caller does without: left at their defaults, whatever the file has.

    Returns
    -------
    Parameters

    Raises
    ------
    ParameterError
        If the file is missing, is not YAML or is not valid; the message names the file.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ParameterError(f"{path}: no such parameter file (there is: {known})") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict):
        raise ParameterError(f"{path}: a parameter file holds 'name: value' lines")
    return make_parameters({name: value for name, value in values.items() if name not in without}, str(path))
