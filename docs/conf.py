"""Sphinx's settings; `docs/build.py` gathers the pages that it reads."""

import re

import twostamp

project = "Two-Stamp"
author = "The Two-Stamp developers"
copyright = "The Two-Stamp developers. MIT licence"
version = release = twostamp.__version__.partition("+")[0]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb", "sphinx_design"]
default_role = "code"
highlight_language = "none"  # a block without a language is a command
exclude_patterns = ["files"]

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # nothing is loaded from the network, neither at build nor when a page is read
nb_merge_streams = True

# Every name of ours that is referred to must have a page. Type variables have none; other packages need the network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!twostamp\.).*|.*\.[A-Z]")]
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "pydata_sphinx_theme"
html_title = "Two-Stamp"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "Two-Stamp"},
    "navbar_align": "left",
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "use_edit_page_button": False,
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"getting_started": []}  # a page without others beside it
html_context = {"default_mode": "auto"}

LONG = {
    r"_Buffer \| _SupportsArray\[dtype\[Any\]\] \| _NestedSequence\[_SupportsArray\[dtype\[Any\]\]\] "
    r"\| complex \| bytes \| str \| _NestedSequence\[complex \| bytes \| str\]": "ArrayLike",
    r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]": r"ndarray[\1]",
    r"PosixPath\('[^']*/(\w+)'\)": r"\1",
}
"""What a signature would show of NumPy's aliases and of this machine, and what a reader wants to see."""


def setup(app):
    """Shorten signatures."""

    def shorten(app, what, name, value, options, signature, returned):
        return tuple(text and _shorten(text) for text in (signature, returned))

    app.connect("autodoc-process-signature", shorten)


def _shorten(text):
    text = re.sub(r"(?<![\w./'\"])~?(?!twostamp\.)(?:[A-Za-z_]\w*\.)+(?=\w)", "", text)
    for pattern, short in LONG.items():
        text = re.sub(pattern, short, text)
    return text
