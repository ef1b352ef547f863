"""Percentile bootstrap over objects: estimates with intervals, and differences on shared resamples.

Efron and Tibshirani (1993), An Introduction to the Bootstrap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from twostamp.utils.typing import Floats, Ints

K = TypeVar("K")

LEVEL = 0.05
"""Significance level of section 6.4."""

FEW_NIGHTS = 5
"""Fewest nights for an interval over nights; fewer give no reliable one."""


class Estimate(NamedTuple):
    """A value and its interval, 95 % unless stated otherwise.

    The format is that of one number; words after a space follow the value.

    Examples
    --------
    >>> f"{Estimate(0.012, -0.001, 0.034).points:+.1f points}"
    '+1.2 points (95 %: -0.1 to +3.4)'
    """

    value: float
    low: float
    high: float

    @classmethod
    def from_resamples(cls, value: float, drawn: ArrayLike, level: float = LEVEL) -> "Estimate":
        """Take the interval between the percentiles of resampled values, shape (resamples,)."""
        low, high = np.quantile(np.asarray(drawn, float), [level / 2, 1 - level / 2])
        return cls(float(value), float(low), float(high))

    @classmethod
    def from_row(cls, row: Any, name: str, interval: str = "") -> "Estimate":
        """Read an estimate from the columns of `to_row`."""
        return cls(row[name], row[f"{interval}low"], row[f"{interval}high"])

    def to_row(self, name: str, interval: str = "") -> dict[str, float]:
        """Return the columns: the name, then low and high with the prefix `interval`.

        Examples
        --------
        >>> Estimate(2.0, 1.0, 3.0).to_row("gain", "gain ")
        {'gain': 2.0, 'gain low': 1.0, 'gain high': 3.0}
        """
        return {name: self.value, f"{interval}low": self.low, f"{interval}high": self.high}

    @property
    def points(self) -> "Estimate":
        """Convert to hundredths: a share to per cent, a difference of shares to points."""
        return Estimate(100 * self.value, 100 * self.low, 100 * self.high)

    def bounds(self, form: str) -> str:
        """Format the interval alone.

        Examples
        --------
        >>> Estimate(0.5, 0.25, 0.75).bounds(".0%")
        '25% to 75%'
        """
        return f"{self.low:{form}} to {self.high:{form}}"

    def __format__(self, form: str) -> str:
        number, space, words = form.partition(" ")
        return f"{self.value:{number}}{space}{words} (95 %: {self.bounds(number)})"


@dataclass(frozen=True)
class Resampled:
    """A statistic of objects, and its value for every resample of them.

    Attributes
    ----------
    value : float or ndarray, shape (...)
    drawn : ndarray, shape (resamples, ...)
        Statistics of one `Bootstrap` share their resamples, so a difference is paired.
    """

    value: Any
    drawn: Floats

    def __sub__(self, other: "Resampled") -> "Resampled":
        return Resampled(self.value - other.value, self.drawn - other.drawn)

    def __getitem__(self, place: Any) -> "Resampled":
        axes = place if isinstance(place, tuple) else (place,)
        return Resampled(self.value[axes], self.drawn[(slice(None), *axes)])

    def estimate(self, level: float = LEVEL) -> Estimate:
        """Return the value with its percentile interval."""
        return Estimate.from_resamples(self.value, self.drawn, level)


@dataclass(frozen=True)
class Bootstrap:
    """Number and seed of the resamples; statistics that share a bootstrap share its resamples.

    Attributes
    ----------
    resamples, seed : int
    """

    resamples: int
    seed: int

    def generator(self, *stream: int) -> np.random.Generator:
        """Start the random numbers of the bootstrap, or another stream of the same seed."""
        return np.random.default_rng([self.seed, *stream])

    def weights(self, strata: ArrayLike, rng: np.random.Generator | None = None) -> Ints:
        """Count how often each resample draws each object; every stratum keeps its number of objects.

        Parameters
        ----------
        strata : array_like, shape (n,)
            For instance the classes; all equal to draw among all objects.
        rng : Generator, optional
            Generator to continue; by default the bootstrap's own from its start.

        Returns
        -------
        ndarray, shape (resamples, n)

        Examples
        --------
        >>> Bootstrap(2, seed=1).weights([0, 0, 1]).sum(axis=1).tolist()
        [3, 3]
        """
        strata, rng = np.asarray(strata), rng or self.generator()
        weights = np.zeros((self.resamples, strata.size), np.int64)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            shares = np.full(members.size, 1 / members.size)
            weights[:, members] = rng.multinomial(members.size, shares, size=self.resamples)
        return weights

    def rows(self, n: int) -> Ints:
        """Draw the rows of n objects without strata, shape (resamples, n)."""
        return self.generator().integers(0, n, (self.resamples, n))

    def resample(self, statistic: Callable[[Floats], Floats], strata: ArrayLike) -> Resampled:
        """Resample a statistic of weighted objects.

        Parameters
        ----------
        statistic : callable
            Function of weights, shape (b, n), that returns values, shape (b, ...).
        strata : array_like, shape (n,)

        Examples
        --------
        >>> share = Bootstrap(100, seed=1).resample(lambda weights: weights @ [1, 0, 1] / 3, strata=[0, 0, 1])
        >>> f"{share.estimate():.2f}"
        '0.67 (95 %: 0.33 to 1.00)'
        """
        weights = self.weights(strata)
        return Resampled(statistic(np.ones((1, weights.shape[1])))[0], statistic(weights.astype(float)))

    def mean(self, values: ArrayLike) -> Estimate:
        """Estimate the mean over objects, shape (n,), drawn without strata."""
        table = np.asarray(values, float)
        return Estimate.from_resamples(float(table.mean()), table[self.rows(len(table))].mean(axis=1))

    def means(
        self, values: Mapping[K, ArrayLike], strata: ArrayLike, weights: ArrayLike | None = None
    ) -> dict[K, Resampled]:
        """Estimate means over objects and repetitions of a training; both are resampled.

        Parameters
        ----------
        values : mapping to array_like, shape (r, n)
            A quantity of each object and repetition, for instance whether the prediction is right.
        strata : array_like, shape (n,)
        weights : array_like, shape (n,), optional
            Weights of the objects in the mean, for instance from `balance`; 1 / n by default.

        Returns
        -------
        dict of Resampled
            r - 1 of r repetitions are drawn, so that resamples vary as means of r trainings do. One repetition has no
            variation.

        Examples
        --------
        >>> means = Bootstrap(100, seed=1).means({"right": [[1, 1, 0], [1, 1, 0]]}, [0, 0, 1])
        >>> round(means["right"].value, 3), float(means["right"].drawn.std().round(6))
        (0.667, 0.0)
        """
        tables = {name: np.atleast_2d(np.asarray(table, float)) for name, table in values.items()}
        r, n = next(iter(tables.values())).shape
        rng, each = self.generator(), np.full(n, 1 / n) if weights is None else np.asarray(weights, float)
        objects = self.weights(strata, rng) * each
        kept = max(r - 1, 1)
        repetitions = rng.multinomial(kept, np.full(r, 1 / r), size=self.resamples) / kept
        drawn = {name: ((objects @ table.T) * repetitions).sum(axis=1) for name, table in tables.items()}
        return {name: Resampled(float((table @ each).mean()), drawn[name]) for name, table in tables.items()}


def balance(labels: ArrayLike, members: ArrayLike | None = None) -> Floats:
    """Compute weights that turn a mean into the mean of class recalls, over all or some objects; 0 for the others.

    Examples
    --------
    >>> balance([0, 0, 1], [True, True, True]).tolist()
    [0.25, 0.25, 0.5]
    """
    classes = np.asarray(labels)
    chosen = np.ones(classes.shape, bool) if members is None else np.asarray(members, bool)
    counts = np.bincount(classes[chosen], minlength=int(classes.max(initial=0)) + 1)
    return chosen / np.maximum(counts[classes], 1) / max(1, np.count_nonzero(counts))
