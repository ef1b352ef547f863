"""Optional dependencies, and the extra of the package that installs each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

try:
    import lazy_loader
except (
    ModuleNotFoundError
):  # on a machine with an accelerator and few packages, modules are imported by their own names
    lazy_loader = None

EXTRAS = {
    "aiohttp": "http",
    "gcsfs": "gcs",
    "s3fs": "s3",
    "jax": "jax",
    "confluent_kafka": "stream",
    "cramjam": "codecs",
    "pyspark": "spark",
    "galsim": "simulation",
    "threadpoolctl": "simulation",
    "healpy": "sky",
    "sklearn": "stats",
    "statsmodels": "stats",
    "alerce": "database",
    "psycopg": "database",
    "sqlalchemy": "database",
    "onnx": "onnx",
    "tf2onnx": "onnx",
    "anywidget": "hunter",
    "ipywidgets": "notebooks",
    "IPython": "notebooks",
    "jinja2": "notebooks",
    "matplotlib": "notebooks",
    "papermill": "notebooks",
    "seaborn": "notebooks",
}
"""Module -> extra."""


class MissingExtraError(ModuleNotFoundError):
    """An optional dependency is not installed; the message names the command that installs it."""


@contextmanager
def naming_extras() -> Iterator[None]:
    """Raise `MissingExtraError` if an optional dependency is missing.

    Examples
    --------
    >>> with naming_extras():
    ...     raise ModuleNotFoundError(name="healpy.pixelfunc")
    Traceback (most recent call last):
    twostamp.utils.extras.MissingExtraError: healpy is not installed: pip install "twostamp[sky]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if isinstance(error, MissingExtraError) or module not in EXTRAS:
            raise
        sentence = f'{module} is not installed: pip install "twostamp[{EXTRAS[module]}]"'
        raise MissingExtraError(sentence, name=module) from None


def attach_room(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Load the public names of a room, listed in its ``__init__.pyi``, on first use.

    Parameters
    ----------
    package, file : str
        ``__name__`` and ``__file__`` of the room.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__`` and ``__all__`` of the room; the first raises `MissingExtraError`.
    """
    if lazy_loader is None:
        return _refuse, list, []
    load, names, public = lazy_loader.attach_stub(package, file)

    def load_or_explain(name: str) -> Any:
        with naming_extras():
            return load(name)

    return load_or_explain, names, public


def _refuse(name: str) -> Any:
    raise AttributeError(f"{name} is loaded by lazy_loader, which is not installed: pip install twostamp")
