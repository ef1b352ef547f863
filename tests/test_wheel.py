"""The wheel, away from the repository: it imports, finds its notebooks and parameters, and makes a study."""

import os
import shutil
import subprocess
import sys

import pytest

from tests import REPOSITORY
from twostamp.pipeline import STANDS_ON

FIND = """
from pathlib import Path
import twostamp
from twostamp.pipeline.manifest import fingerprints
from twostamp.pipeline.notebooks import STANDS_ON
from twostamp.params import read_parameters
from twostamp.utils import paths
print(Path(twostamp.__file__).parent, paths.notebooks_folder(), paths.outputs_root(), sep="\\n")
print(twostamp.__version__, len(fingerprints(read_parameters(paths.find_parameters("quick")), STANDS_ON)))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel of a copy of the repository is installed, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "repository"
    copy.mkdir()
    for name in ("lib", "notebooks", "params"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(copy)], capture_output=True, text=True)
    if "setuptools-scm" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("what builds a wheel cannot be downloaded")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def run(installed, folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "TWOSTAMP_OUTPUTS"}
    environment["PYTHONPATH"] = str(installed)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_empty_folder_is_enough(installed, tmp_path):
    lines = run(installed, tmp_path, "-c", FIND).split("\n")
    study = installed / "twostamp" / "study"
    assert lines[:3] == [str(installed / "twostamp"), str(study / "notebooks"), str(tmp_path / "outputs")]
    assert lines[3] == f"0.1.0 {len(STANDS_ON)}"
    shipped = "import twostamp; print(twostamp.load_classifier().card['trained on'])"
    assert "simulated survey" in run(installed, tmp_path, "-c", shipped)
    assert "hours and cost" in run(installed, tmp_path, "-m", "twostamp", "plan", "--help")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_study_has_what_the_repository_has(installed, tmp_path):
    assert "twostamp run quick" in run(installed, tmp_path, "-m", "twostamp", "init", "my_study")
    study = tmp_path / "my_study"
    for folder, pattern in (("notebooks", "*.ipynb"), ("params", "*.yaml")):
        originals = sorted((REPOSITORY / folder).glob(pattern))
        assert [path.name for path in sorted((study / folder).iterdir())] == [path.name for path in originals]
        assert all((study / folder / path.name).read_bytes() == path.read_bytes() for path in originals)
    lines = run(installed, study / "notebooks", "-c", FIND).split("\n")
    assert lines[1:3] == [str(study / "notebooks"), str(study / "outputs")]
