"""Results of a search: one JSON file per trial, ranked by accuracy on validation (chapters 5 and 6)."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from twostamp.data.feature_lists import FEATURE_LISTS
from twostamp.data.tfrecords import DatasetInfo, Records
from twostamp.models.architectures import VARIANTS, build_model
from twostamp.models.classifier import Classifier
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters

INDEX = "index.json"
SPLITS = ("validation", "test")
_SIZES = tuple(field.name for field in fields(Hyperparameters))
_STANDS_ON = ("01_data_extraction", "03_dataset_preparation")
_VERSIONS = ("twostamp", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class TrialResult:
    """One training of a search: its settings and scores.

    Attributes
    ----------
    content : mapping
        Content of its result file: trial_id, variant, the five hyper-parameters, repetition, seed, settings, status,
        reason. A finished trial also has classes, history, seconds, and the scores of both weights under ``last`` and
        ``best``.
    folder : Path
        Folder of the file and the weights.
    report_weights : {"last", "best"}
        Weights of the scores: those of the last epoch, or the best on validation (decision T4).
    """

    content: Mapping[str, Any]
    folder: Path
    report_weights: str = "last"

    @property
    def trial_id(self) -> str:
        return str(self.content["trial_id"])

    @property
    def variant(self) -> str:
        return str(self.content["variant"])

    @property
    def hyperparameters(self) -> Hyperparameters:
        return Hyperparameters(**{name: self.content[name] for name in _SIZES})

    @property
    def repetition(self) -> int:
        return int(self.content["repetition"])

    @property
    def classes(self) -> list[str]:
        return list(self.content["classes"])

    @property
    def is_done(self) -> bool:
        return bool(self.content["status"] == "done")

    @property
    def reason(self) -> str:
        """Return the reason why the trial failed."""
        return str(self.content.get("reason", ""))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the settings of the training other than hyper-parameters."""
        return dict(self.content.get("settings", {}))

    def accuracy(self, split: str) -> float:
        """Return the accuracy on validation or test; NaN for a failed trial."""
        return float(self._scores.get(f"{split}_accuracy", np.nan))

    def confusion(self, split: str) -> list[list[int]]:
        """Return the confusion counts, with true classes in rows and predicted ones in columns."""
        return list(self._scores[f"{split}_confusion"])

    def predicted(self, split: str) -> list[int]:
        """Return the predicted labels, in the order of `twostamp.data.tfrecords.Records.arrays`."""
        return list(self._scores[f"{split}_predicted"])

    @property
    def history(self) -> Mapping[str, Sequence[float]]:
        """Return one value per epoch of loss, accuracy, val_loss, val_accuracy and others."""
        return dict(self.content["history"])

    @property
    def weights(self) -> Path:
        return self.folder / self._scores["weights"]

    @property
    def _scores(self) -> Mapping[str, Any]:
        return dict(self.content.get(self.report_weights, {}))

    def load(self, records: Records) -> Classifier:
        """Rebuild the trained classifier.

        Parameters
        ----------
        records : Records
            Records that it was trained on: their statistics, preparation and classes are used.

        Raises
        ------
        ValueError
            If the trial failed.
        """
        if not self.is_done:
            raise ValueError(f"trial {self.trial_id} has no weights, it failed: {self.reason}")
        info = records.info
        return Classifier(
            network=self._load_network(len(info.classes)),
            variant=self.variant,
            classes=tuple(info.classes),
            crop_size=self.hyperparameters.crop_size,
            scaler=records.scaler,
            preparation=info.preparation,
            card=self._describe(info),
            ages=records.ages,
        )

    def _describe(self, info: DatasetInfo) -> dict[str, Any]:
        """Describe the training for the card of its classifier."""
        training = {"trial": self.trial_id, "seed": int(self.content["seed"]), "weights": self.report_weights}
        scores = {split: {"accuracy": self.accuracy(split), "confusion": self.confusion(split)} for split in SPLITS}
        return {
            "width": float(self.settings.get("width", 1.0)),
            "hyperparameters": asdict(self.hyperparameters),
            "training": training | {"objects": info.counts, "data": info.fingerprint},
            "metrics": scores,
        }

    def _load_network(self, n_classes: int) -> keras.Model:
        sizes, built = self.hyperparameters, self.settings
        network = build_model(
            self.variant,
            n_classes=n_classes,
            crop_size=sizes.crop_size,
            kernel_size=sizes.kernel_size,
            dropout_rate=sizes.dropout_rate,
            siamese=built.get("siamese", False),
            width=built.get("width", 1.0),
            batch_normalisation=built.get("batch_normalisation", True),
        )
        network.load_weights(self.weights)
        return network


class SearchResults(Sequence[TrialResult]):
    """Trials of one or more searches, in order.

    Parameters
    ----------
    trials : iterable of TrialResult
    """

    def __init__(self, trials: Iterable[TrialResult] = ()) -> None:
        self._trials = tuple(trials)

    @classmethod
    def read(cls, folder: Path, report_weights: str = "last") -> "SearchResults":
        """Read the trials of the last search in a folder; `report_weights` as of `TrialResult`.

        Raises
        ------
        FileNotFoundError
            If no search has run in that folder.
        """
        if not (folder / INDEX).exists():
            raise FileNotFoundError(f"{folder} holds no finished search; run notebook 04_model_search first")
        names = json.loads((folder / INDEX).read_text())
        contents = (json.loads((folder / f"{name}.json").read_text()) for name in names)
        return cls(TrialResult(content, folder, report_weights) for content in contents)

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, place: Any) -> Any:
        return SearchResults(self._trials[place]) if isinstance(place, slice) else self._trials[place]

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self._trials)

    def __add__(self, others: Iterable[TrialResult]) -> "SearchResults":
        return SearchResults([*self, *others])

    @property
    def done(self) -> "SearchResults":
        """Return the trials with a result."""
        return SearchResults(trial for trial in self if trial.is_done)

    def of(self, variant: str) -> "SearchResults":
        """Return the trials of one variant."""
        return SearchResults(trial for trial in self if trial.variant == variant)

    def find(self, trial_id: str) -> TrialResult:
        """Return the trial of a name."""
        return next(trial for trial in self if trial.trial_id == trial_id)

    def accuracies(self, split: str) -> pd.Series:
        """Return the accuracy of each trial on validation or test."""
        return pd.Series([trial.accuracy(split) for trial in self], dtype=float)

    def confusions(self, split: str) -> list[list[list[int]]]:
        """Return the confusion matrix of each trial, as counts."""
        return [trial.confusion(split) for trial in self]

    def combinations(self) -> list["SearchResults"]:
        """Group the finished repetitions by combination and variant, the best mean accuracy on validation first.

        A combination that lost repetitions comes after all that lost fewer. Ties keep the order of the trials, which is
        the grid's, whatever the test scores. Repetitions are in order.

        Raises
        ------
        ValueError
            If no trial is finished; the message has the reason of the first.
        """
        if not self.done:
            reason = f"; the first failed: {self[0].reason}" if self else ""
            raise ValueError(f"none of the {len(self)} trials has a result{reason}")
        groups: dict[tuple[str, Hyperparameters], list[TrialResult]] = {}
        for trial in self:
            groups.setdefault((trial.variant, trial.hyperparameters), []).append(trial)
        asked = [SearchResults(sorted(group, key=lambda trial: trial.repetition)) for group in groups.values()]
        finished = [group for group in asked if group.done]
        return [group.done for group in sorted(finished, key=SearchResults._place)]

    def _place(self) -> tuple[int, float]:
        """Sort a combination by its lost repetitions, then by validation; equal means may differ in the last bit."""
        done = self.done
        return len(self) - len(done), -round(float(done.accuracies("validation").mean()), 9)

    def rank(self, count: int | None = None, variants: Iterable[str] | None = None) -> pd.DataFrame:
        """Tabulate the combinations, best first (Tables 6.1-6.3).

        Parameters
        ----------
        count : int, optional
            Combinations of each variant, at most; all by default.
        variants : iterable of str, optional
            Variants to include, in that order; by default all, in the order of :meth:`combinations`.

        Returns
        -------
        DataFrame
            variant, the five hyper-parameters, n (repetitions), validation_mean, validation_std (ddof 0) and
            validation_values, and the same for test. Then features (metadata per alert), trial_id of the first
            repetition, and rank within the variant from 1.
        """
        ranked = pd.DataFrame([group._summarise() for group in self.combinations()])
        ranked["rank"] = ranked.groupby("variant").cumcount() + 1
        ranked = ranked if count is None else ranked[ranked["rank"] <= count]
        parts = [ranked] if variants is None else [ranked[ranked["variant"] == variant] for variant in variants]
        return pd.concat(parts, ignore_index=True)

    def _summarise(self) -> dict[str, Any]:
        first = self[0]
        row = {"variant": first.variant, **asdict(first.hyperparameters), "n": len(self)}
        for split in SPLITS:
            scores = self.accuracies(split)
            row |= {f"{split}_mean": scores.mean(), f"{split}_std": scores.std(ddof=0)}
            row[f"{split}_values"] = scores.tolist()
        features = FEATURE_LISTS.get(VARIANTS[first.variant].features or "", ())
        return row | {"features": len(features), "trial_id": first.trial_id}

    def winners(self, models: Mapping[str, str] | None = None) -> dict[str, "SearchResults"]:
        """Return the finished repetitions of the best combination of each variant, in order.

        Parameters
        ----------
        models : mapping of str to str, optional
            Variant by the name of a model; those without a finished trial are left out. By default every variant under
            its own name, the best first.
        """
        best: dict[str, SearchResults] = {}
        for group in self.combinations():
            best.setdefault(group[0].variant, group)
        if models is None:
            return best
        return {model: best[variant] for model, variant in models.items() if variant in best}

    def best_first(self) -> "SearchResults":
        """Return the trials sorted by accuracy on validation."""
        return SearchResults(sorted(self, key=lambda trial: -trial.accuracy("validation")))

    @property
    def best(self) -> TrialResult | None:
        """Return the best repetition of the best combination, both on validation; None without a finished trial."""
        return self.combinations()[0].best_first()[0] if self.done else None


def package_winners(
    results: SearchResults, records: Records, models: Path, params: Parameters, mark: str = ""
) -> dict[str, Path]:
    """Save the best repetition of the best combination of each variant, both on validation, to share.

    Parameters
    ----------
    results : SearchResults
    records : Records
        Records that they were trained on.
    models : Path
        Receives one folder per variant.
    params : Parameters
        Parameters of the training. The cards list them, and the fingerprints of the ``manifest.json`` above `models`.
    mark : str
        Sentence on the figures and tables of the run about its data.

    Returns
    -------
    dict of Path
        Folder by variant; none without a finished trial.
    """
    folders = {}
    for variant, trials in (results.winners() if results.done else {}).items():
        classifier = trials.best_first()[0].load(records)
        folders[variant] = models / variant
        known = {"trained on": mark or "real alerts", "run": describe_origin(models, params)}
        replace(classifier, card={**classifier.card, **known}).save(folders[variant])
    return folders


def describe_origin(models: Path, params: Parameters) -> dict[str, Any]:
    above = (parent / "manifest.json" for parent in models.parents[:2])
    manifest: dict[str, Any] = next((json.loads(path.read_text()) for path in above if path.exists()), {})
    return {
        "parameters": params.model_dump(),
        "fingerprints": {name: manifest[name]["fingerprint"] for name in _STANDS_ON if name in manifest},
        "versions": {name: version(name) for name in _VERSIONS},
    }
