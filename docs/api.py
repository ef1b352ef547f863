"""Pages of the API: one per room, with every name of its `__all__`."""

import importlib
import inspect
import pkgutil
import re
import typing
from functools import cache
from pathlib import Path
from types import ModuleType

from sphinx.pycode import ModuleAnalyzer

import twostamp

PACKAGE = Path(twostamp.__file__).parent
MODULES = ("params", "taxonomy", "thesis")
"""Modules beside the rooms that notebooks import from."""
BY_NOTEBOOK = ("analysis", "plots")
"""Rooms with one module a notebook and no names of their own."""


def list_rooms() -> list[str]:
    """Rooms with a public list of names, those of the data's way first."""
    order = ["alerts", "simulation", "data", "models", "evaluation", "inspection", "stream", "hunter"]
    found = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.pyi"))
    return [*(name for name in order if name in found), *(name for name in found if name not in order)]


def public_names(module: ModuleType) -> list[str]:
    """`__all__`, or what a module without one defines itself and does not hide."""
    if "__all__" in vars(module):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


@cache
def list_pages() -> dict[str, list[ModuleType]]:
    """Page -> modules whose names it has."""
    pages = {room: [importlib.import_module(f"twostamp.{room}")] for room in list_rooms()}
    for room in BY_NOTEBOOK:
        package = importlib.import_module(f"twostamp.{room}")
        pages[room] = [
            importlib.import_module(f"twostamp.{room}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
        ]
    return pages | {name: [importlib.import_module(f"twostamp.{name}")] for name in MODULES}


def list_public() -> set[str]:
    """Names under which public classes and functions are defined."""
    values = [
        getattr(module, name) for found in list_pages().values() for module in found for name in public_names(module)
    ]
    return {_path(value) for value in values if inspect.isclass(value) or inspect.isfunction(value)}


def write_pages(folder: Path) -> None:
    """Write `index.rst` and a page per room into a new folder."""
    folder.mkdir(parents=True)
    pages, described = list_pages(), list_public()
    for page, modules in pages.items():
        parts = [page, "=" * 60, "", f".. automodule:: twostamp.{page}\n"]
        for module in modules:
            if len(modules) > 1:
                title = module.__name__.removeprefix(f"twostamp.{page}.")
                parts += [title, "-" * 60, "", f".. automodule:: {module.__name__}\n"]
            parts += [_summarise(module), *(_document(module, name) for name in public_names(module))]
        if types := _find_types(modules, described):
            parts += ["Types of arguments and results", "-" * 60, ""]
            parts += [f".. autoclass:: {path}\n   :members:\n" for path in types]
        (folder / f"{page}.rst").write_text("\n".join(parts))
    rows = [f"   * - :doc:`twostamp.{page} <{page}>`\n     - {_first_line(page)}" for page in pages]
    index = [
        *("API", "===", ""),
        "Import from the rooms below, not from the modules inside them. What a room lists here is public.\n",
        "``twostamp`` itself has :py:func:`load_classifier <twostamp.models.load_classifier>`,",
        ":py:func:`open_dataset <twostamp.data.open_dataset>` and ``__version__``.\n",
        *(".. list-table::", "   :widths: 30 70", "", *rows, ""),
        *(".. toctree::", "   :hidden:", "", *(f"   {page}" for page in pages), ""),
    ]
    (folder / "index.rst").write_text("\n".join(index))


def _path(value: typing.Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _find_types(modules: list[ModuleType], described: set[str]) -> list[str]:
    """Our classes that public functions take or return and that no page has yet; adds them to `described`."""
    todo = [getattr(module, name) for module in modules for name in public_names(module)]
    found = []
    while todo:
        value = todo.pop(0)
        if inspect.isclass(value):
            todo += [member.fget if isinstance(member, property) else member for member in vars(value).values()]
        if not callable(value):
            continue
        try:
            hints = list(typing.get_type_hints(inspect.unwrap(value)).values())
        except (NameError, TypeError):
            continue
        while hints:
            hint = hints.pop()
            hints += typing.get_args(hint)
            if inspect.isclass(hint) and hint.__module__.startswith("twostamp.") and _path(hint) not in described:
                described.add(_path(hint))
                found.append(_path(hint))
                todo.append(hint)
    return found


def _first_line(page: str) -> str:
    return (importlib.import_module(f"twostamp.{page}").__doc__ or "").split("\n")[0]


def _summarise(module: ModuleType) -> str:
    names = [
        name
        for name in public_names(module)
        if callable(getattr(module, name)) or inspect.ismodule(getattr(module, name))
    ]
    rows = [f"   {name}" for name in names]
    return "\n".join([".. autosummary::", "   :nosignatures:", "", *rows, ""])


def _document(module: ModuleType, name: str) -> str:
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    if inspect.ismodule(value):
        return f".. automodule:: {value.__name__}\n   :members:\n"
    if inspect.isclass(value):
        return f".. autoclass:: {path}\n   :members:\n"
    if inspect.isroutine(value):
        return f".. autofunction:: {path}\n"
    text = _read_comment(module, name).replace("\n", "\n   ")
    shown = repr(value)
    signature = f"\n   :value: {shown}" if len(shown) <= 80 and "\n" not in shown else ""
    return f".. py:data:: {name}\n   :module: {module.__name__}{signature}\n\n   {text}\n"


def _read_comment(module: ModuleType, name: str) -> str:
    """The text below an assignment, in whichever module of the room makes it."""
    for found in (module.__name__, *(m.name for m in _walk(module))):
        docs = ModuleAnalyzer.for_module(found).find_attr_docs()
        if ("", name) in docs:
            return "\n".join(docs["", name]).strip()
    return ""


def _walk(module: ModuleType) -> list[pkgutil.ModuleInfo]:
    return list(pkgutil.iter_modules(getattr(module, "__path__", []), f"{module.__name__}."))


def write_parameters() -> str:
    """Tables of all parameters in Markdown: name and default, meaning; one table per group of the source."""
    module = importlib.import_module("twostamp.params")
    docs = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    lines = []
    for line in ("    # The run", *inspect.getsource(module.Parameters).split("\n")):
        if group := re.fullmatch(r"    # (.+)", line):
            lines += ["", f"## {group[1]}", "", "| parameter, default | |", "|---|---|"]
        elif (field := re.match(r"    (\w+):", line)) and field[1] in module.Parameters.model_fields:
            default = module.Parameters.model_fields[field[1]].default
            text = " ".join(docs.get(("Parameters", field[1]), [])).replace("``", "`").replace("|", "\\|")
            lines.append(f"| `{field[1]}`<br>`{default!r}` | {text} |")
    return "\n".join(lines)
