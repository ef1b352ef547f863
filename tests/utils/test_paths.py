"""Where a process finds its notebooks, its parameter files and its outputs."""

import pytest

from tests import NOTEBOOKS, PARAMS, REPOSITORY
from twostamp.pipeline.study import copy_study
from twostamp.utils import paths


@pytest.fixture(autouse=True)
def no_outputs(monkeypatch):
    monkeypatch.delenv("TWOSTAMP_OUTPUTS", raising=False)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as a wheel installs it: with a study of its own, and no repository around it."""
    copy_study(tmp_path / "site-packages" / "twostamp" / "study")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "twostamp")
    return tmp_path / "site-packages" / "twostamp" / "study"


def found():
    return paths.notebooks_folder(), paths.find_parameters("quick").parent, paths.outputs_root()


@pytest.mark.parametrize("folder", [REPOSITORY, NOTEBOOKS, REPOSITORY / "lib" / "twostamp"])
def test_in_a_checkout_everything_is_the_repositorys(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert found() == (NOTEBOOKS, PARAMS, REPOSITORY / "outputs")


def test_an_editable_install_uses_its_repository_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found() == (NOTEBOOKS, PARAMS, REPOSITORY / "outputs")


def test_an_empty_folder_gets_outputs_and_reads_the_packages_own(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert found() == (installed / "notebooks", installed / "params", tmp_path / "outputs")


@pytest.mark.parametrize("below", [".", "notebooks", "outputs/quick"])
def test_a_study_is_found_from_below(below, installed, tmp_path, monkeypatch):
    study = tmp_path / "my_study"
    copy_study(study)
    (study / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(study / below)
    assert found() == (study / "notebooks", study / "params", study / "outputs")


def test_folders_that_only_have_the_names_are_no_study(installed, tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "params").mkdir()
    monkeypatch.chdir(tmp_path)
    assert paths.notebooks_folder() == installed / "notebooks"


def test_outputs_go_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOSTAMP_OUTPUTS", str(tmp_path / "elsewhere"))
    assert paths.outputs_root() == tmp_path / "elsewhere"


def test_a_parameter_file_is_named_by_its_run_or_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.find_parameters("quick") == PARAMS / "quick.yaml"
    assert str(paths.find_parameters("mine.yaml")) == "mine.yaml"
    (tmp_path / "quick").mkdir()
    assert paths.find_parameters("quick") == PARAMS / "quick.yaml"
    (tmp_path / "mine").write_text("run_name: mine\n")
    assert str(paths.find_parameters("mine")) == "mine"
