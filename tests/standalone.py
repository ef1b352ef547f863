"""A Spark cluster of several processes, and work that loses one of them: ``python -m tests.standalone [PART ...]``.

A master and two workers are started from pyspark's own distribution, on this machine. While a part runs, one worker is
killed with all its processes, and another takes its place. What comes out must be what a local session makes of the
same, byte for byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from tests import REPOSITORY
from tests.ports import find_port
from tests.s3_server import serve_s3

MEMORY = "800m"
SURVEY = {"pairs_per_class": 12, "unlabelled_objects": 10, "nights": 24, "seed": 5, "workers": 1}
SEARCH = {"search_variants": ["stacked"], "grid_batch_size": [16, 32], "n_combinations": 2, "n_repetitions": 2}
SEARCH |= {"epochs": 1, "width": 0.1, "threads_per_trial": 1}


class Cluster:
    """Master and workers; their settings come from a ``spark-defaults.conf``, as on any cluster."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        import pyspark

        self.folder, self.home = folder, Path(pyspark.__file__).parent
        (folder / "conf").mkdir(parents=True)
        (folder / "events").mkdir()
        lines = [f"spark.executor.memory {MEMORY}", "spark.executor.cores 1", "spark.driver.host 127.0.0.1"]
        lines += ["spark.eventLog.enabled true", f"spark.eventLog.dir {folder / 'events'}", "spark.ui.enabled false"]
        (folder / "conf" / "spark-defaults.conf").write_text("\n".join(lines))
        path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "lib"), os.environ.get("PYTHONPATH", "")])
        settings = {"SPARK_CONF_DIR": str(folder / "conf"), "SPARK_DAEMON_MEMORY": "256m", "PYTHONPATH": path}
        settings |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder / "local")}
        self.environment = os.environ | environment | settings
        os.environ.update(environment | {"SPARK_CONF_DIR": settings["SPARK_CONF_DIR"], "SPARK_LOCAL_IP": "127.0.0.1"})
        port = find_port()
        self.url, self.processes = f"spark://127.0.0.1:{port}", []
        self.start("master.Master", "--port", str(port))
        self.workers = [self.start_worker() for _ in range(2)]

    def start(self, role: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a master or a worker in a process group of its own."""
        command = [str(self.home / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}"]
        command += ["--host", "127.0.0.1", "--webui-port", "0", *arguments]
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker with one core."""
        sizes = ["--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / "work")]
        return self.start("worker.Worker", *sizes, self.url)

    def kill_worker(self) -> None:
        """Kill a worker with its executors, and start another."""
        os.killpg(self.workers.pop(0).pid, signal.SIGKILL)
        self.workers.append(self.start_worker())

    def stop(self) -> None:
        """Stop what was started here."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def losing_a_worker(cluster: Cluster, begun: Callable[[], bool]) -> Iterator[None]:
    """Kill a worker as soon as something is done."""
    ended, killed = threading.Event(), threading.Event()

    def wait() -> None:
        while not ended.wait(0.05):
            if begun():
                cluster.kill_worker()
                killed.set()
                return

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert killed.is_set(), "everything was done before a worker could be killed"


def extract(cluster: Cluster, archive: str, folder: Path) -> None:
    """Find the first two alerts."""
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.utils.spark import make_spark

    labels = pd.read_csv(folder / "survey" / "labels.csv")
    spark = make_spark(cluster.url)
    with losing_a_worker(cluster, lambda: len(list((folder / "cluster").glob("keys-*/[!.]*.parquet"))) >= 3):
        extract_first_two(spark, archive, labels, folder / "cluster").check()
    spark.stop()
    compare(folder / "cluster", folder / "local")


def search(cluster: Cluster, _: str, folder: Path) -> None:
    """Train the trials of a search."""
    from tests.benchmarks.inputs import find_records
    from twostamp.models.search import make_trials, run_trials
    from twostamp.params import Parameters

    records = find_records(folder / "local" / "pairs.parquet", folder / "records", cap=12, held_out=2)
    params = Parameters(**SEARCH, spark_master=cluster.url)
    trials, results = make_trials(params), folder / "search"
    with losing_a_worker(cluster, lambda: len(list(results.glob("*.json"))) >= 1):
        done = run_trials(trials, records, results, params)
    assert len(done.done) == len(trials), done.table


def predict(cluster: Cluster, _: str, folder: Path) -> None:
    """Classify pairs with the classifier that the package ships."""
    from twostamp.models import load_classifier, prediction
    from twostamp.utils.spark import make_spark

    prediction._OBJECTS_PER_TASK = 1  # for few objects one worker would do
    pairs, model, out = folder / "local" / "pairs.parquet", folder / "model", folder / "predictions.parquet"
    classifier = load_classifier()
    classifier.save(model)
    spark = make_spark(cluster.url)
    with losing_a_worker(cluster, lambda: len(list(out.glob("part-*.parquet"))) >= 1):
        prediction.predict_on_spark(spark, pairs, model, out, deltajd_max=1e9)
    spark.stop()
    found = pd.read_parquet(out).sort_values("objectId", ignore_index=True)
    expected = prediction.predict_pairs(pairs, found["objectId"].tolist(), classifier)
    assert len(found) == len(pd.read_parquet(pairs, columns=["objectId"]))
    pd.testing.assert_frame_equal(found, expected, atol=1e-5)


def compare(first: Path, second: Path) -> None:
    """Make sure that two extractions wrote the same files; a killed worker may leave hidden ones."""
    files = [[path for path in way.rglob("[!.]*.parquet") if path.is_file()] for way in (first, second)]
    names = [sorted(path.relative_to(way) for path in found) for way, found in zip((first, second), files)]
    assert names[0] == names[1] != [], sorted({*names[0]} ^ {*names[1]})
    for name in names[0]:
        if name.parts[0].startswith("keys-"):
            tables = [pq.read_table(way / name) for way in (first, second)]
            assert tables[0].equals(tables[1]), name
        else:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


PARTS = {"extraction": extract, "search": search, "prediction": predict}


def main() -> int:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.standalone", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all by default")
    parser.add_argument("--s3", action="store_true", help="read the alerts from an S3 server (needs moto and s3fs)")
    options = parser.parse_args()
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.simulation.survey import write_survey
    from twostamp.utils.spark import make_spark

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_survey(folder / "survey", **SURVEY)
        archive, environment = str(folder / "survey"), dict[str, str]()
        if options.s3:
            archive, environment = stack.enter_context(serve_s3(folder / "survey"))
        spark = make_spark("local[2,4]")
        extract_first_two(spark, archive, pd.read_csv(folder / "survey" / "labels.csv"), folder / "local").check()
        spark.stop()
        cluster = Cluster(folder / "spark", environment)
        stack.callback(cluster.stop)
        for name in options.parts or PARTS:
            started = time.monotonic()
            PARTS[name](cluster, archive, folder)
            print(f"{name}: a worker was killed, and the rest is as it should be ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
