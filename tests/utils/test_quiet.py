"""The first import of TensorFlow says nothing, and nothing that matters is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import os
os.write(2, b"I0000 00:00:17 99 port.cc:153] custom operations are on\\n")
os.write(2, b"E0000 00:00:17 99 port.cc:153] no card\\n")
os.write(2, b"Traceback\\n")
"""
CODE = """
import sys
from twostamp.utils.quiet import QuietImport
sys.meta_path.insert(0, QuietImport("chatty"))
import chatty
assert not any(isinstance(finder, QuietImport) for finder in sys.meta_path)
import os
os.write(2, b"I0000 later\\n")
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_only_information_is_kept_back_and_only_during_the_import(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(MODULE)
    done = run(CODE, tmp_path)
    assert done.stderr.splitlines() == ["E0000 00:00:17 99 port.cc:153] no card", "Traceback", "I0000 later"]


def test_an_import_that_fails_says_all_but_information(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(MODULE + "raise ImportError('broken')")
    done = run(CODE, tmp_path)
    assert "no card" in done.stderr
    assert done.stderr.endswith("ImportError: broken\n")
    assert "custom operations" not in done.stderr
    assert "No module named 'chatty'" in run(CODE, tmp_path.parent).stderr


@pytest.mark.slow
def test_tensorflow_is_imported_in_silence(tmp_path: Path) -> None:
    done = run("import twostamp.models, sys; twostamp.models.build_model; assert 'tensorflow' in sys.modules", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


NETWORKS = """if True:
    from twostamp import models
    import keras, numpy as np
    sizes = dict(n_classes=5, crop_size=21, kernel_size=3, dropout_rate=0.3, width=0.25)
    for name in ("stamp_26", "stacked", "separated"):
        network = models.build_model(name, **sizes)
        shapes = {name: (2, *shape) for name, shape in models.architectures.input_shapes(name, 21).items()}
        answer = network({name: np.zeros(shape, "float32") for name, shape in shapes.items()})
        print(keras.backend.backend(), network.count_params(), answer.shape, answer.dtype.name, keras.config.epsilon())
    print(models.load_classifier().network.compute_dtype)"""


@pytest.mark.slow
def test_networks_are_what_they_are_whatever_the_user_has_set_for_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = '{"backend": "torch", "image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.01}'
    (tmp_path / "keras.json").write_text(settings)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    plain = run(NETWORKS, tmp_path)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "tensorflow " in plain.stdout
    assert plain.stdout.endswith("float32\n")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert run(NETWORKS, tmp_path).stdout == plain.stdout


def test_a_backend_that_is_not_installed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    hidden = "import importlib.util, os; importlib.util.find_spec = lambda name, *_: None; import twostamp.models; "
    done = run(hidden + "print(os.environ['KERAS_BACKEND'])", tmp_path)
    assert done.stdout == "tensorflow\n", done.stderr
