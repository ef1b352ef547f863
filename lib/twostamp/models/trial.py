"""One training of the search of chapter 5: what names it, and how a worker process carries it out."""

import functools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostamp.data.arrays import Arrays
from twostamp.data.tfrecords import Records
from twostamp.evaluation.metrics import accuracy, confusion_counts
from twostamp.models.architectures import VARIANTS
from twostamp.models.augmentation import Augmentation, augment_batches
from twostamp.models.inference import predict
from twostamp.models.results import SPLITS
from twostamp.models.training import Hyperparameters, limit_threads, make_repeatable, train_model, use_gpu
from twostamp.params import Parameters
from twostamp.utils.files import replacing, write_json
from twostamp.utils.spark import assigned_gpu


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
        Of weights, dropout and batches; from the run's seed and the identifier alone, whatever else is searched.
    """

    variant: str
    hyperparameters: Hyperparameters
    repetition: int
    seed: int

    @property
    def id(self) -> str:
        """Readable and stable name, such as ``stacked-k3-c21-b256-lr0.001-d0.3-r0``."""
        return f"{self.variant}-{self.hyperparameters.id}-r{self.repetition}"


@dataclass(frozen=True, slots=True)
class Job:
    """A trial and all that a worker process needs for it."""

    trial: Trial
    records: Records
    output_folder: Path
    params: Parameters
    settings: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.output_folder / f"{self.trial.id}.json"

    def describe(self) -> dict[str, Any]:
        """Return what identifies the result: the trial, the data and the settings it is trained with."""
        trial = self.trial
        return {
            "trial_id": trial.id,
            "variant": trial.variant,
            **asdict(trial.hyperparameters),
            "repetition": trial.repetition,
            "seed": trial.seed,
            "settings": self.settings | asdict(self.augmentation) if self.augmentation else self.settings,
        }

    @property
    def augmentation(self) -> Augmentation | None:
        """What training draws anew at each step; None is the thesis's recipe."""
        spec, params = VARIANTS[self.trial.variant], self.params
        hidden = params.hide_second if spec.architecture == "one_or_two" else 0.0
        share = params.cadence_share if params.cadence_augmentation and spec.deltajd else 0.0
        drawn = Augmentation(hidden, share, params.cadence_gap, params.cadence_start)
        return drawn if hidden or share else None

    def is_finished(self) -> bool:
        """Whether the result file holds exactly this trial, trained on these data with these settings."""
        if not self.path.exists():
            return False
        stored = json.loads(self.path.read_text())
        return stored == {**stored, **self.describe(), "status": "done"}


def train_trial(job: Job) -> None:
    """Train, judge and write one trial; the result file comes last, so that a killed trial leaves none."""
    started = time.perf_counter()
    limit_threads(job.params.threads_per_trial)
    with use_gpu(assigned_gpu()):
        result = _train(job)
    write_json(job.path, {**job.describe(), **result, "seconds": time.perf_counter() - started})


def record_failure(job: Job, reason: str) -> None:
    """Write that a trial has no result, and why."""
    write_json(job.path, {**job.describe(), "status": "failed", "reason": reason})


def _train(job: Job) -> dict[str, Any]:
    trial, params = job.trial, job.params
    keras.backend.clear_session()
    make_repeatable(trial.seed)
    records, classes = job.records, job.records.info.classes
    features, crop = VARIANTS[trial.variant].features_read, trial.hyperparameters.crop_size
    arrays = {split: _load_judged(records, records.info.fingerprint, split, features, crop) for split in SPLITS}
    batch_size = trial.hyperparameters.batch_size
    batches = records.batches(batch_size, features=features, crop=crop, seed=trial.seed)
    if job.augmentation:
        steps = params.epochs * records.steps_per_epoch(batch_size)
        batches = augment_batches(batches, job.augmentation, records.scaler.deltajd, trial.seed, steps)
    training = train_model(
        trial.variant,
        trial.hyperparameters,
        batches,
        arrays["validation"],
        n_classes=len(classes),
        steps_per_epoch=records.steps_per_epoch(batch_size),
        epochs=params.epochs,
        seed=trial.seed,
        width=job.settings["width"],
        **params.training_options(),
        log_folder=job.output_folder.parent / "tensorboard" / trial.id,
    )
    result: dict[str, Any] = {"status": "done", "reason": "", "classes": classes, "n_classes": len(classes)}
    scores = _judge(training.model, trial.variant, arrays)
    for which, weights in training.weights.items():
        if which == "best" and training.best_epoch < params.epochs - 1:
            training.model.set_weights(weights)
            scores = _judge(training.model, trial.variant, arrays)
        result[which] = scores | {"weights": f"{trial.id}.{which}.weights.h5"}
        _save_weights(training.model, job.output_folder / result[which]["weights"])
    result["history"] = training.history
    result["objects_per_second"] = float(np.median(training.history["objects_per_second"]))
    return result


@functools.lru_cache(maxsize=4)
def _load_judged(records: Records, fingerprint: str, split: str, features: str, crop: int) -> Arrays:
    """Read a split once for all trials of a worker that judge themselves on it."""
    return records.arrays(split, features, crop)


def _judge(model: keras.Model, variant: str, arrays: dict[str, Arrays]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for split, objects in arrays.items():
        predicted = predict(model, variant, objects).argmax(axis=1)
        confusion = confusion_counts(np.asarray(objects.labels), predicted, model.output_shape[-1])
        scores |= {f"{split}_confusion": confusion.tolist(), f"{split}_accuracy": accuracy(confusion)}
        scores |= {f"{split}_predicted": predicted.tolist()}
    return scores


def _save_weights(model: keras.Model, path: Path) -> None:
    with replacing(path) as part:
        model.save_weights(part)


WORKER_ENVIRONMENT = {
    # 3 also hides what TensorFlow's own graph rewriting says about itself; an error still arrives as an exception.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Without these, glibc gives every large activation back to the kernel after each operation: a sixth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    # Processes live on from trial to trial, and Spark may give the next one another GPU.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}
