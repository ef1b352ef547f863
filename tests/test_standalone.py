"""The extraction on a real cluster of several processes, of which one is killed; the other parts run by hand."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests import REPOSITORY


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_files():
    stores = ["--s3"] if find_spec("moto") and find_spec("s3fs") else []
    command = [sys.executable, "-m", "tests.standalone", "extraction", *stores]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "a worker was killed" in done.stdout
