"""Plan of a search: trials, hours and cost, from a table of measured rates.

``rates.csv`` lists the objects per second that one worker trains on each hardware, with the source of each number. Rows
that ``make bench ROWS=accelerator`` measured here take precedence.
"""

import json
from dataclasses import asdict, dataclass
from importlib.resources import files

import numpy as np
import pandas as pd

from twostamp.data.feature_lists import FEATURE_LISTS
from twostamp.data.tfrecords import Records
from twostamp.models.alerce_recipe import RECIPE_VARIANT as VARIANT
from twostamp.models.alerce_recipe import SETTING
from twostamp.models.architectures import VARIANTS
from twostamp.models.layers import N_ROTATIONS, PADDING, scale
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES
from twostamp.utils.paths import outputs_root

CORES_A_NODE = 8
"""vCPU of the thesis's core nodes (m5.2xlarge), whose price is the parameter ``core_price``."""
KIND = ["variant", "crop_size", "kernel_size", "batch_size", "width"]


@dataclass(frozen=True)
class Machine:
    """Hardware for a search.

    Attributes
    ----------
    name : str
    engine, card, precision : str
        As in ``rates.csv``.
    workers : int
        Parallel trainings, each at the rate of one.
    price : float
        USD per hour for the whole machine.
    compile_seconds : float
        Compilation time of each network, crop, kernel and batch.
    """

    name: str
    engine: str
    card: str
    precision: str
    workers: int
    price: float
    compile_seconds: float = 0.0


MACHINES = (
    Machine("two cores", "tensorflow", "processor", "fp32", 2, 0.185 / 4),
    Machine("one H100, fp32 (TF32)", "jax", "NVIDIA H100", "fp32", 1, 3.0, 20),
    Machine("one H100, bfloat16", "jax", "NVIDIA H100", "bf16", 1, 3.0, 20),
    Machine("three P100", "tensorflow", "NVIDIA P100", "fp32", 3, 3 * 1.46),
)
"""Prices are assumptions close to those of clouds: a quarter of the thesis's node, 3 USD for an H100, 1.46 for a P100.
Compilation was measured at 12 to 38 s per shape."""


def count_training_objects(params: Parameters) -> tuple[int, str]:
    """Count the training objects of a run: those of its records or, without records, the most that its cap allows.

    Returns
    -------
    (int, str)
        The count and its source.
    """
    records = Records(outputs_root() / params.run_name / "data" / "records")
    if records.folder.exists():
        return sum(records.info.counts["train"].values()), "counted in the run's records"
    each = params.cap_per_class - params.validation_per_class - params.test_per_class
    return each * len(CLASSES), "the most that cap_per_class allows; the run's records will give the number"


def read_rates() -> pd.DataFrame:
    """Read the table of rates; those measured on this machine come first.

    Returns
    -------
    DataFrame
        engine, card, variant, crop_size, kernel_size, batch_size, width, precision, rate (objects per second of one
        worker), source.
    """
    known = pd.read_csv(str(files("twostamp.pipeline").joinpath("rates.csv")))
    path = outputs_root() / "bench" / "accelerator.json"
    if not path.exists():
        return known
    measured = [
        {**{name: row[name] for name in known.columns if name in row}, "source": "measured here"}
        for row in json.loads(path.read_text())["rows"]
        if "rate" in row and not row["without"]
    ]
    return pd.concat([pd.DataFrame(measured, columns=known.columns), known], ignore_index=True)


def count_operations(variant: str, crop_size: int, kernel_size: int, width: float = 1.0) -> float:
    """Count the floating-point operations of one object in training, products alone (Tables 4.1 to 4.4).

    A step takes three times the forward pass: itself, and the gradients by inputs and by weights.

    Examples
    --------
    >>> round(count_operations("stacked", 21, 3) / 1e6)
    492
    """
    spec = VARIANTS[variant]
    branches = 2 if spec.architecture in ("separated", "one_or_two") else 1
    channels = 6 if spec.architecture == "stacked" else 3
    few, many = scale(32, width), scale(64, width)
    side = crop_size + 2 * PADDING - 3
    convolutions = side**2 * few * (16 * channels + kernel_size**2 * few)
    side //= 2
    convolutions += side**2 * many * kernel_size**2 * (few + 2 * many)
    dense = (side // 2) ** 2 * many * many
    metadata = len(FEATURE_LISTS[spec.features]) if spec.features else 0
    rest = many * (many + metadata * (3 - branches)) + many * many
    return 3 * 2 * branches * (N_ROTATIONS * (convolutions + dense) + rest)


def estimate_rates(kinds: pd.DataFrame, machine: Machine, rates: pd.DataFrame) -> pd.DataFrame:
    """Estimate the rate of each training from the most similar measured one, scaled by the operations of both.

    Parameters
    ----------
    kinds : DataFrame
        Columns `KIND`, one row per training.
    machine : Machine
    rates : DataFrame
        Table from `read_rates`.

    Returns
    -------
    DataFrame
        rate (objects per second of one worker) and its source, for each row.

    Raises
    ------
    ValueError
        No rate was measured on the machine.
    """
    same = (rates["engine"] == machine.engine) & (rates["precision"] == machine.precision)
    known = rates[same & rates["card"].str.startswith(machine.card)].reset_index(drop=True)
    if known.empty:
        raise ValueError(f"no rate of {machine.name} is known: make bench ROWS=accelerator measures it there")
    operations = np.array([count_operations(v, c, k, w) for v, c, k, _, w in known[KIND].itertuples(index=False)])
    found = []
    for variant, crop, kernel, batch, width in kinds[KIND].itertuples(index=False):
        own = count_operations(variant, crop, kernel, width)
        other = np.array([VARIANTS[name].architecture != VARIANTS[variant].architecture for name in known["variant"]])
        unlike = np.abs(np.log(operations / own)) + np.abs(np.log(known["batch_size"] / batch)) + 0.1 * other
        nearest = int(np.argmin(unlike))
        found.append((known["rate"][nearest] * operations[nearest] / own, known["source"][nearest]))
    return pd.DataFrame(found, columns=["rate", "source"])


def list_trainings(params: Parameters) -> pd.DataFrame:
    """List the trainings of a search, and of ALeRCE's recipe if the run trains it, with the columns `KIND` and more."""
    from twostamp.models.search import make_repeats, make_trials

    wanted = make_trials(params)
    if params.alerce_baseline:
        wanted += make_repeats(VARIANT, SETTING, params.n_repetitions, params.seed)
    rows = [{"variant": trial.variant, **asdict(trial.hyperparameters)} for trial in wanted]
    return pd.DataFrame(rows).assign(width=params.width)


def plan_trials(params: Parameters, rates: pd.DataFrame, n_objects: int, machine: Machine) -> pd.DataFrame:
    """Estimate the hours of a search, and of ALeRCE's recipe if the run trains it.

    Parameters
    ----------
    params : Parameters
    rates : DataFrame
        Table from `read_rates`.
    n_objects : int
        Training objects.
    machine : Machine

    Returns
    -------
    DataFrame
        One row per variant and a total: trials, hours of one worker, hours with all workers of the machine, and USD.
        Evaluation and reading, a few per cent, are left out.

    Examples
    --------
    >>> one = {"search_variants": ["stacked"], "n_repetitions": 2, "width": 1.0}
    >>> params = Parameters(**one, epochs=10, grid_batch_size=[36], alerce_baseline=False)
    >>> machine = Machine("mine", "tensorflow", "processor", "fp32", workers=2, price=3.0)
    >>> table = {"engine": "tensorflow", "card": "processor", "precision": "fp32", "source": "", "rate": 100.0}
    >>> table |= {"variant": "stacked", "crop_size": 21, "kernel_size": 3, "batch_size": 36, "width": 1.0}
    >>> plan_trials(params, pd.DataFrame([table]), 36_000, machine)[["trials", "worker hours", "hours", "USD"]].values
    array([[2., 2., 1., 3.], [2., 2., 1., 3.]])
    """
    trials = list_trainings(params)
    rate = estimate_rates(trials, machine, rates)["rate"].to_numpy()
    objects = np.ceil(n_objects / trials["batch_size"]) * trials["batch_size"] * params.epochs
    first = ~trials.duplicated(KIND)
    trials["worker hours"] = (objects / rate + first * machine.compile_seconds) / 3600
    table = trials.groupby("variant", sort=False)["worker hours"].agg(["size", "sum"]).reset_index()
    table.columns = ["variant", "trials", "worker hours"]
    table.loc[len(table)] = ["total", table["trials"].sum(), table["worker hours"].sum()]
    table["hours"] = table["worker hours"] / machine.workers
    return table.assign(USD=table["hours"] * machine.price)


def describe_run(params: Parameters) -> Machine:
    """Describe the processors of a run: its TensorFlow workers, on nodes of 8 cores at ``core_price``."""
    nodes = np.ceil(params.workers * params.threads_per_trial / CORES_A_NODE)
    name = f"this run's {params.workers} workers, at the price of {nodes:.0f} x {CORES_A_NODE} cores"
    return Machine(name, "tensorflow", "processor", "fp32", params.workers, float(nodes) * params.core_price)


def compare_machines(params: Parameters, rates: pd.DataFrame, n_objects: int) -> pd.DataFrame:
    """Compare hours and cost of a whole search on each of `MACHINES`, with the source of the rates.

    Returns
    -------
    DataFrame
        machine, engine, trials, hours, USD, source of the rates.
    """
    trials, rows = list_trainings(params), []
    for machine in MACHINES:
        total = plan_trials(params, rates, n_objects, machine).iloc[-1]
        sources = "; ".join(dict.fromkeys(estimate_rates(trials, machine, rates)["source"]))
        rows.append([machine.name, machine.engine, total["trials"], total["hours"], total["USD"], sources])
    return pd.DataFrame(rows, columns=["machine", "engine", "trials", "hours", "USD", "rates"])
