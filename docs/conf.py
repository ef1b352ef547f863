"""Sphinx's settings; `docs/build.py` gathers the pages that it reads."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import api  # noqa: E402

import twostamp  # noqa: E402

project = "Two-Stamp"
author = "The Two-Stamp developers"
copyright = "The Two-Stamp developers. MIT licence"
version = release = twostamp.__version__.partition("+")[0]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb", "sphinx_design"]
default_role = "code"
exclude_patterns = ["files"]

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
numpydoc_show_class_members = False
python_maximum_signature_line_length = 88

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # nothing is loaded from the network, neither at build nor when a page is read
nb_merge_streams = True

# Every name of ours that is referred to must have a page; what belongs to other packages needs the network to resolve.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!twostamp\.).*")]
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
html_sidebars = {"changes": [], "contributing": []}


def setup(app):
    """Let a name that a room passes on be found under the room that documents it."""
    homes = api.find_homes()

    def resolve(app, env, node, contents):
        public = homes.get(node.get("reftarget"))
        if public:
            domain = env.get_domain("py")
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contents)
        return None

    app.connect("missing-reference", resolve)
