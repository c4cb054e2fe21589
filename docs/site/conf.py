"""How `make docs` makes a site of the documents (docs/adr/0053-site.md). They stay Markdown that reads well as it lies
here: the source of the site is the repository itself, so that a link is the same in both."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]

project = "STEP Node"
author = "the STEP Node developers"
project_copyright = author
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/site/index"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/*/*.md",
    "configs/README.md",
    "clients/js/README.md",
    "changelog.d/README.md",
]
exclude_patterns = ["build", ".venv*", "**/node_modules"]

html_theme = "furo"
html_title = "STEP Node"
html_show_sphinx = False
html_copy_source = False
# Anchors as in the repository's own pages: of every heading, by its words.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]
# Blocks name what a reader runs; not every one is a language of Pygments' (`jsonc`, plots of characters).
suppress_warnings = ["misc.highlighting_failure"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Docstrings write code between single backticks, as the documents do.
default_role = "code"


def _show_what_is_no_page(_app: Sphinx, doctree: nodes.document) -> None:
    """A link to a file or folder of the repository that is no page shows its name: a site has no such file to open.

    What does not exist is left alone, and is then a warning, which ends the build.
    """
    here = Path(doctree["source"]).parent
    for reference in list(
        doctree.findall(lambda node: isinstance(node, addnodes.download_reference | addnodes.pending_xref))
    ):
        target = str(reference.get("reftarget", "")).partition("#")[0]
        if not target or target.endswith(".md"):
            continue
        if any(path.exists() for path in (here / target, ROOT / target.lstrip("/"))):
            reference.replace_self(nodes.inline("", "", *reference.children))


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", _show_what_is_no_page)
