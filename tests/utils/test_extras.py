"""A missing optional dependency is one sentence that names the extra."""

import re
import subprocess
import sys
import tomllib

import pytest

from tests import REPOSITORY
from twostamp.utils.extras import EXTRAS, MissingExtraError, naming_extras

DISTRIBUTIONS = {"confluent_kafka": "confluent-kafka", "sklearn": "scikit-learn", "IPython": "ipykernel"}


def test_extras_are_pyprojects():
    optional = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        names = {re.match(r"[A-Za-z0-9_.-]+", text)[0].lower() for text in optional[extra]}
        assert DISTRIBUTIONS.get(module, module) in names, module


@pytest.mark.parametrize("error", [ModuleNotFoundError(name="numpy"), ModuleNotFoundError(), ImportError("broken")])
def test_other_errors_pass(error):
    with pytest.raises(ImportError) as caught, naming_extras():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        ("from twostamp.simulation import write_survey", "galsim", "simulation"),
        ("from twostamp.evaluation import confusion_shares", "sklearn", "stats"),
        ("from twostamp.pipeline import write_report", "jinja2", "notebooks"),
        ("from twostamp.utils import make_spark; make_spark()", "pyspark", "spark"),
    ],
)
def test_a_room_names_the_extra(line, module, extra):
    code = f"import sys; sys.modules[{module!r}] = None\n{line}"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert shown.splitlines()[-1].endswith(
        f'MissingExtraError: {module} is not installed: pip install "twostamp[{extra}]"'
    )


def test_the_error_is_an_import_error():
    with pytest.raises(ModuleNotFoundError) as caught, naming_extras():
        raise ModuleNotFoundError(name="pyspark.sql")
    assert isinstance(caught.value, MissingExtraError)
    assert caught.value.name == "pyspark"
