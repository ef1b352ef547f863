"""What a search will take before anyone starts it: trials, hours and cost, from rates measured on this machine.

``twostamp plan thesis`` trains each kind of network for a few batches of noise.
"""

import time
from dataclasses import asdict

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.tfrecords import Records
from twostamp.models.alerce_recipe import RECIPE_VARIANT as VARIANT
from twostamp.models.alerce_recipe import SETTING
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES
from twostamp.utils.paths import outputs_root

TIMED_BATCHES = 2
BATCH = 16
"""Objects a batch: enough for a fair rate, and large crops stay a matter of seconds."""
CORES_A_NODE = 8
"""vCPU of the thesis's core nodes (m5.2xlarge), whose price is the parameter ``core_price``."""


def count_training_objects(params: Parameters) -> tuple[int, str]:
    """Training objects of a run: those of its records, or before there are any the most that its cap allows.

    Returns
    -------
    (int, str)
        The count and where it is from.
    """
    records = Records(outputs_root() / params.run_name / "data" / "records")
    if records.folder.exists():
        return sum(records.info.counts["train"].values()), "counted in the run's records"
    each = params.cap_per_class - params.validation_per_class - params.test_per_class
    return each * len(CLASSES), "the most that cap_per_class allows; the run's records will say better"


def measure_rate(variant: str, crop_size: int, kernel_size: int, threads: int, width: float = 1.0) -> float:
    """Train on batches of noise and return objects per second.

    Parameters
    ----------
    variant : str
        A key of `twostamp.models.architectures.VARIANTS`.
    crop_size, kernel_size : int
        Pixels.
    threads : int
        Of TensorFlow; the same at every call of a process.
    width : float
        Of the network.
    """
    import keras

    from twostamp.models.architectures import build_model, input_shapes
    from twostamp.models.training import limit_threads

    limit_threads(threads)
    keras.backend.clear_session()
    model = build_model(
        variant, n_classes=len(CLASSES), crop_size=crop_size, kernel_size=kernel_size, dropout_rate=0.3, width=width
    )
    model.compile("adam", loss="categorical_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.normal(size=(BATCH, *shape)).astype(np.float32)
        for name, shape in input_shapes(variant, crop_size).items()
    }
    labels = np.eye(len(CLASSES), dtype=np.float32)[rng.integers(0, len(CLASSES), BATCH)]
    seconds = []
    for _ in range(TIMED_BATCHES + 1):  # the first one traces
        start = time.perf_counter()
        model.train_on_batch(inputs, labels)
        seconds.append(time.perf_counter() - start)
    return BATCH / float(np.median(seconds[1:]))


def measure_rates(params: Parameters) -> pd.DataFrame:
    """Measure the training rate of every variant, crop and kernel of a run's grid, and of ALeRCE's recipe.

    Returns
    -------
    DataFrame
        variant, crop_size, kernel_size, rate (objects per second of one trial).
    """
    kinds: list[tuple[str, int, int]] = [
        (variant, crop, kernel)
        for variant in params.search_variants
        for crop in params.grid_crop_size
        for kernel in params.grid_kernel_size
    ]
    if params.alerce_baseline:
        kinds.append((VARIANT, SETTING.crop_size, SETTING.kernel_size))
    rates = [
        (*kind, measure_rate(*kind, params.threads_per_trial, params.width)) for kind in tqdm(kinds, desc="measuring")
    ]
    return pd.DataFrame(rates, columns=["variant", "crop_size", "kernel_size", "rate"])


def plan_trials(params: Parameters, rates: pd.DataFrame, n_objects: int) -> pd.DataFrame:
    """Add up the hours of a search, and of ALeRCE's recipe if the run trains it.

    Parameters
    ----------
    params : Parameters
    rates : DataFrame
        Of `measure_rates`.
    n_objects : int
        Training objects.

    Returns
    -------
    DataFrame
        A row a variant and a total: trials, hours of one worker, hours of the run's workers together, and USD on nodes
        of 8 cores at ``core_price``. Evaluation and reading are left out, a few per cent.

    Examples
    --------
    >>> one = {"search_variants": ["stacked"], "grid_learning_rate": [0.001], "n_repetitions": 2}
    >>> params = Parameters(**one, epochs=10, alerce_baseline=False)
    >>> rates = pd.DataFrame({"variant": ["stacked"], "crop_size": [21], "kernel_size": [3], "rate": [100.0]})
    >>> plan_trials(params, rates, n_objects=36_000)[["trials", "worker hours", "hours"]].values.tolist()
    [[2.0, 2.0, 1.0], [2.0, 2.0, 1.0]]
    """
    from twostamp.models.search import make_repeats, make_trials

    wanted = make_trials(params)
    if params.alerce_baseline:
        wanted += make_repeats(VARIANT, SETTING, params.n_repetitions, params.seed)
    trials = pd.DataFrame([{"variant": t.variant, **asdict(t.hyperparameters)} for t in wanted])
    steps = np.ceil(n_objects / trials["batch_size"]) * params.epochs
    rate = trials.merge(rates, on=["variant", "crop_size", "kernel_size"], how="left")["rate"].to_numpy()
    trials["worker hours"] = steps * trials["batch_size"] / rate / 3600
    table = trials.groupby("variant", sort=False)["worker hours"].agg(["size", "sum"]).reset_index()
    table.columns = ["variant", "trials", "worker hours"]
    table.loc[len(table)] = ["total", table["trials"].sum(), table["worker hours"].sum()]
    table["hours"] = table["worker hours"] / params.workers
    nodes = np.ceil(params.workers * params.threads_per_trial / CORES_A_NODE)
    return table.assign(USD=table["hours"] * nodes * params.core_price)
