"""A model that was saved before the library had rooms: it loads, and says of the same packets what it said then.

``saved/`` was written at commit 6abe9a4: a separated classifier of random weights and an eighth of the width.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.models.test_classifier import make_objects
from twostamp.models import load_classifier

SAVED = Path(__file__).parent / "saved"


@pytest.mark.slow
def test_a_model_of_before_gives_the_same_probabilities() -> None:
    classifier = load_classifier(SAVED / "separated")
    assert classifier.variant == "separated"
    assert classifier.classes == ("AGN", "SN", "bogus")
    expected = json.loads((SAVED / "probabilities.json").read_text())
    np.testing.assert_allclose(classifier.predict(make_objects()[: len(expected)]), expected, atol=1e-6)


def test_a_model_of_before_is_small() -> None:
    assert sum(path.stat().st_size for path in SAVED.rglob("*") if path.is_file()) < 400_000
