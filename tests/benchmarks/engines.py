"""Whether both engines train to the same accuracy: ``python -m tests.benchmarks.engines RECORDS --out FOLDER``.

Trains the stacked classifier at a quarter of its width from several seeds by TensorFlow and by JAX on the records of a
run (such as ``outputs/quick/data/records``), through the search as a run does, and compares test accuracies by two
one-sided tests. Results stay in the folder: a second call only adds what is missing.
"""

import argparse
from pathlib import Path

import numpy as np

from twostamp.data.tfrecords import Records
from twostamp.evaluation.hypothesis_tests import welch_test
from twostamp.models.search import make_trials, run_trials
from twostamp.params import Parameters


def main() -> None:
    """Train, and print both means and p."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.engines", description=__doc__)
    parser.add_argument("records", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--margin", type=float, default=0.03, help="difference of accuracy that counts as none")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    accuracies = {}
    for engine in ("tensorflow", "jax"):
        params = Parameters(
            search_variants=["stacked"], n_repetitions=options.seeds, engine=engine, workers=options.workers
        )
        results = run_trials(make_trials(params), Records(options.records), options.out / engine, params).done
        scores = accuracies[engine] = np.array([trial.accuracy("test") for trial in results])
        seconds = [trial.content["seconds"] for trial in results]
        spread = scores.std(ddof=1)
        print(
            f"{engine}: {scores.mean():.4f} +- {spread:.4f} (ddof 1, n {len(scores)}), {np.median(seconds):.0f} s each"
        )
    jax, tensorflow = accuracies["jax"], accuracies["tensorflow"]
    above = welch_test(jax + options.margin, tensorflow, "greater").p_value
    below = welch_test(jax - options.margin, tensorflow, "less").p_value
    print(f"difference {jax.mean() - tensorflow.mean():+.4f}; TOST, margin {options.margin}: p {max(above, below):.2g}")


if __name__ == "__main__":
    main()
