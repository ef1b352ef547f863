"""One training: its identifier, its inputs, and the function that a worker process runs (chapter 5)."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from twostamp.data.arrays import Arrays
from twostamp.data.features import Scaler
from twostamp.data.tfrecords import CACHE_BYTES, Records, read_once
from twostamp.evaluation.metrics import accuracy, confusion_counts
from twostamp.models.architectures import VARIANTS
from twostamp.models.augmentation import Augmentation, augment_batches
from twostamp.models.checkpoint import Checkpoint
from twostamp.models.engines import Hyperparameters, Training, require_engine
from twostamp.models.inference import predict
from twostamp.models.results import SPLITS
from twostamp.models.training import hide_cards, limit_threads, make_repeatable, train_model
from twostamp.params import TRAINING_OPTIONS, Parameters
from twostamp.utils.cards import claim_card
from twostamp.utils.files import replacing, write_json
from twostamp.utils.fingerprints import hash_code
from twostamp.utils.spark import assigned_gpu, open_spark, run_jobs

_CODE = ("architectures.py", "augmentation.py", "jax_data.py", "jax_training.py", "layers.py", "training.py")
"""Modules that decide the result of a training."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: a classifier, a combination of hyper-parameters and a repetition.

    Attributes
    ----------
    variant : str
        A key of ``models.VARIANTS``.
    hyperparameters : Hyperparameters
    repetition : int
        From 0.
    seed : int
        Seed of weights, dropout and batches. It depends only on the run's seed and the identifier, not on the rest of
        the search.
    """

    variant: str
    hyperparameters: Hyperparameters
    repetition: int
    seed: int

    @property
    def id(self) -> str:
        """Return a readable and stable name, for example ``stacked-k3-c21-b256-lr0.001-d0.3-r0``."""
        return f"{self.variant}-{self.hyperparameters.id}-r{self.repetition}"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Settings of a training other than hyper-parameters, on which a result depends.

    Attributes
    ----------
    epochs : int
    width : float
        Of the networks.
    threads_per_trial : int
        Threads of TensorFlow; another number changes the rounding of sums.
    warmup_fraction, dropout_layers, siamese, batch_normalisation, entropy_beta, mixed_precision
        Of `twostamp.models.training.train_model`.
    augmentation : Augmentation
        Augmentation, as far as an architecture supports it.
    engine : str
        Engine, from the parameter ``engine``.
    code : str
        Hash of the modules that train: a result of other code is made again.
    """

    epochs: int
    width: float
    threads_per_trial: int
    warmup_fraction: float
    dropout_layers: int
    siamese: bool
    batch_normalisation: bool
    entropy_beta: float
    mixed_precision: bool
    augmentation: Augmentation
    engine: str = "tensorflow"
    code: str = ""

    @classmethod
    def of(cls, params: Parameters, epochs: int | None = None) -> "TrainingConfig":
        """Take the settings from a run's parameters; `epochs` in place of the run's own."""
        share = params.cadence_share if params.cadence_augmentation else 0.0
        drawn = Augmentation(params.hide_second, share, params.cadence_gap, params.cadence_start)
        count = params.epochs if epochs is None else epochs
        options = params.training_options() | {"augmentation": drawn, "engine": params.engine}
        options["code"] = hash_code(Path(__file__).parent, _CODE)
        return cls(count, params.width, params.threads_per_trial, **options)

    @property
    def options(self) -> dict[str, Any]:
        """Options of `twostamp.models.training.train_model`, by name."""
        return {name: getattr(self, name) for name in TRAINING_OPTIONS}

    def augment(self, variant: str) -> Augmentation | None:
        """Return the augmentation of a variant's training; None is the thesis's recipe."""
        spec, drawn = VARIANTS[variant], self.augmentation
        hidden = drawn.hide_second if spec.architecture == "one_or_two" else 0.0
        share = drawn.cadence_share if spec.deltajd else 0.0
        return replace(drawn, hide_second=hidden, cadence_share=share) if hidden or share else None

    def describe(self, variant: str, data: str, recipe: str) -> dict[str, Any]:
        """Return the settings in the result file of a trial; a result with other settings is made again.

        Parameters
        ----------
        variant : str
        data : str
            Fingerprint of the records.
        recipe : str
            Of the metadata.
        """
        settings = {"data": data, "width": self.width, "epochs": self.epochs, "metadata_recipe": recipe}
        settings |= {"threads_per_trial": self.threads_per_trial, "engine": self.engine, "code": self.code}
        settings |= self.options
        drawn = self.augment(variant)
        return settings | asdict(drawn) if drawn else settings


class TrainingData(Protocol):
    """Interface of training data: TFRecords, or rows of stored objects."""

    @property
    def classes(self) -> Sequence[str]:
        """Return the classes in the order of the labels."""

    @property
    def scaler(self) -> Scaler:
        """Return the statistics of the training objects."""

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of training objects divided by the batch size, rounded up."""

    def arrays(self, split: str, features: str, crop: int) -> Arrays:
        """Return the objects of ``train``, ``validation`` or another split."""

    def batches(self, batch_size: int, *, features: str, crop: int, seed: int, steps: int) -> Any:
        """Make class-balanced batches (inputs, one-hot labels) for a number of steps, or endlessly."""


def train(
    trial: Trial,
    data: TrainingData,
    config: TrainingConfig,
    log_folder: Path | None = None,
    checkpoint: Checkpoint | None = None,
    start: Sequence[np.ndarray] | None = None,
) -> Training:
    """Train one classifier in this process with the run's engine; reproducibly on a processor.

    With `start`, weights of such a network, TensorFlow fine-tunes it.

    Raises
    ------
    EngineError
        Keras runs on another engine here, or the accelerator has no room for the data.
    """
    require_engine(config.engine)
    sizes, spec = trial.hyperparameters, VARIANTS[trial.variant]
    steps = data.steps_per_epoch(sizes.batch_size)
    inputs: dict[str, Any] = {"features": spec.features_read, "crop": sizes.crop_size}
    validation, drawn = data.arrays("validation", **inputs), config.augment(trial.variant)
    options = config.options | {"n_classes": len(data.classes), "steps_per_epoch": steps, "epochs": config.epochs}
    options |= {"seed": trial.seed, "width": config.width, "checkpoint": checkpoint}
    moving = drawn.find_moving(data.classes) if drawn else -1
    if config.engine == "jax":
        from twostamp.models import jax_training

        options |= {"augmentation": drawn, "deltajd": data.scaler.deltajd, "moving": moving}
        return jax_training.train_model(trial.variant, sizes, data.arrays("train", **inputs), validation, **options)
    make_repeatable(trial.seed)
    batches = data.batches(sizes.batch_size, **inputs, seed=trial.seed, steps=steps * config.epochs)
    if drawn:
        batches = augment_batches(batches, drawn, data.scaler.deltajd, trial.seed, steps * config.epochs, moving)
    return train_model(trial.variant, sizes, batches, validation, **options, log_folder=log_folder, start=start)


@dataclass(frozen=True, slots=True)
class Job:
    """Trial of a search, and all that a worker process needs for it."""

    trial: Trial
    records: Records
    output_folder: Path
    config: TrainingConfig
    tensorboard: bool = False
    checkpoint_seconds: float = 600.0

    @property
    def path(self) -> Path:
        return self.output_folder / f"{self.trial.id}.json"

    def describe(self) -> dict[str, Any]:
        """Return the identity of the result: trial, data and settings of the training."""
        trial, records = self.trial, self.records
        settings = self.config.describe(trial.variant, records.info.fingerprint, records.recipe)
        if records.cache_bytes != CACHE_BYTES:  # streamed batches come in another order
            settings["cache_bytes"] = records.cache_bytes
        return {
            "trial_id": trial.id,
            "variant": trial.variant,
            **asdict(trial.hyperparameters),
            "repetition": trial.repetition,
            "seed": trial.seed,
            "settings": settings,
        }

    def is_finished(self) -> bool:
        """Return whether the result file holds exactly this trial, on these data with these settings, and its weights
        are there."""
        if not self.path.exists():
            return False
        stored = json.loads(self.path.read_text())
        if stored != {**stored, **self.describe(), "status": "done"}:
            return False
        return all((self.output_folder / stored[which]["weights"]).exists() for which in ("last", "best"))

    def run(self) -> None:
        """Train, score and write; the result file comes last, so that a killed trial leaves none."""
        started, identity = time.perf_counter(), self.describe()
        checkpoint = Checkpoint(self.path.with_suffix(".checkpoint.npz"), identity, self.checkpoint_seconds)
        result = self._train(checkpoint)
        write_json(self.path, {**identity, **result, "seconds": time.perf_counter() - started})
        checkpoint.remove()

    def record_failure(self, reason: str) -> None:
        """Record that the trial has no result, and why."""
        write_json(self.path, {**self.describe(), "status": "failed", "reason": reason})

    def _train(self, checkpoint: Checkpoint) -> dict[str, Any]:
        trial, classes = self.trial, self.records.info.classes
        data = _RecordsOnce(self.records)
        log_folder = self.output_folder.parent / "tensorboard" / trial.id if self.tensorboard else None
        training = train(trial, data, self.config, log_folder, checkpoint)
        inputs = VARIANTS[trial.variant].features_read, trial.hyperparameters.crop_size
        arrays = {split: data.arrays(split, *inputs) for split in SPLITS}
        result: dict[str, Any] = {"status": "done", "reason": "", "classes": classes, "n_classes": len(classes)}
        scores = _score(training.model, trial.variant, arrays)
        for which, weights in training.weights.items():
            if which == "best" and training.best_epoch < self.config.epochs - 1:
                training.model.set_weights(weights)
                scores = _score(training.model, trial.variant, arrays)
            result[which] = scores | {"weights": f"{trial.id}.{which}.weights.h5"}
            with replacing(self.output_folder / result[which]["weights"]) as part:
                # A compiled network would write Adam's state too, twice the weights; one without a name, a number.
                keras.Model(training.model.inputs, training.model.outputs, name=trial.variant).save_weights(part)
        result["history"] = training.history
        result["objects_per_second"] = float(np.median(training.history["objects_per_second"]))
        return result


@dataclass(frozen=True, slots=True)
class _RecordsOnce:
    """Records whose splits a worker reads once for all its trials."""

    records: Records

    @property
    def classes(self) -> Sequence[str]:
        return self.records.info.classes

    @property
    def scaler(self) -> Scaler:
        return self.records.scaler

    def steps_per_epoch(self, batch_size: int) -> int:
        return self.records.steps_per_epoch(batch_size)

    def arrays(self, split: str, features: str, crop: int) -> Arrays:
        return read_once(self.records, self.records.info.fingerprint, split, features, crop)

    def batches(self, batch_size: int, *, features: str, crop: int, seed: int, steps: int) -> Any:
        return self.records.batches(batch_size, features=features, crop=crop, seed=seed)


def _score(model: keras.Model, variant: str, arrays: dict[str, Arrays]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for split, objects in arrays.items():
        predicted = predict(model, variant, objects).argmax(axis=1)
        confusion = confusion_counts(np.asarray(objects.labels), predicted, model.output_shape[-1])
        scores |= {f"{split}_confusion": confusion.tolist(), f"{split}_accuracy": accuracy(confusion)}
        scores |= {f"{split}_predicted": predicted.tolist()}
    return scores


WORKER_ENVIRONMENT = {
    # 3 also hides messages of TensorFlow's own graph rewriting; an error still arrives as an exception.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Without these, glibc gives every large activation back to the kernel after each operation: a sixth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    # Several processes may share a card.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class TrainingJob(Protocol):
    """Interface of a training with a result on disk."""

    @property
    def trial(self) -> Trial:
        """Return the trial."""

    @property
    def config(self) -> TrainingConfig:
        """Return the settings of the training."""

    def is_finished(self) -> bool:
        """Return whether the result exists."""

    def run(self) -> None:
        """Train and write the result."""

    def record_failure(self, reason: str) -> None:
        """Record why there is no result."""


def run_job(job: TrainingJob) -> None:
    """Run a job in a Spark worker."""
    claim_card(assigned_gpu())
    limit_threads(job.config.threads_per_trial)
    if job.config.engine == "jax":
        hide_cards()
    job.run()


def record_failure(job: TrainingJob, reason: str) -> None:
    """Record that a job has no result, and why."""
    job.record_failure(reason)


def train_jobs(jobs: Sequence[TrainingJob], params: Parameters) -> None:
    """Run the jobs without a result on Spark; each writes its own files.

    Parameters
    ----------
    jobs : sequence of TrainingJob
        Their data and output folders may differ; the output folders exist.
    params : Parameters
        spark_master, workers (at a time on a local master), threads_per_trial.
    """
    pending = sorted((job for job in jobs if not job.is_finished()), key=_cost, reverse=True)
    if pending:
        # Another number of threads or another engine needs new processes: TensorFlow sets both only once.
        environment = WORKER_ENVIRONMENT | {"TWOSTAMP_THREADS": str(params.threads_per_trial)}
        environment |= {"KERAS_BACKEND": params.engine}
        with open_spark(params.spark_master, params.workers) as spark:
            run_jobs(spark, run_job, pending, failed=record_failure, environment=environment, description="trainings")


def _cost(job: TrainingJob) -> int:
    # The longest first, so that no worker waits at the end for one that started late.
    sizes, spec = job.trial.hyperparameters, VARIANTS[job.trial.variant]
    branches = 2 if spec.architecture in ("separated", "one_or_two") else 1
    return branches * (sizes.crop_size * sizes.kernel_size) ** 2
