"""The site that `make docs` makes of the documents (docs/adr/0053-site.md)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MENU = ROOT / "docs" / "site" / "index.md"

LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']+""")
"""What a page asks another host for as soon as it is opened; links that a reader may follow are none of it."""
IMPORTED = re.compile(r"""(?:url\(\s*|@import\s+)["']?(?:https?:)?//[^"')]+""")
"""The same in a style sheet."""

needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="needs Sphinx, which `make docs` installs"
)


def test_every_page_is_in_the_menu_once() -> None:
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", MENU.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    entries = [line for block in blocks for line in block.splitlines() if not line.startswith(":")]
    in_menu = [(MENU.parent / f"{entry}.md").resolve() for entry in entries]
    pages = {*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")}
    assert len(in_menu) == len(set(in_menu))
    assert {page.name for page in pages - set(in_menu)} == set()
    assert [page.name for page in in_menu if not page.exists()] == []


def _build(source: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    return subprocess.run(
        [*command, "-c", str(source / "docs" / "site"), str(source), str(output)],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_sphinx
@pytest.mark.long
def test_the_site_is_made_without_a_warning_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    made = _build(ROOT, tmp_path)
    assert (made.stderr, made.returncode) == ("", 0)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 60
    assert [found for page in pages for found in LOADED.findall(page.read_text(encoding="utf-8"))] == []
    assert [found for sheet in tmp_path.rglob("*.css") for found in IMPORTED.findall(sheet.read_text("utf-8"))] == []
    assert "class step_node.client.StepClient" in re.sub(
        r"<[^>]+>", "", (tmp_path / "docs" / "site" / "reference.html").read_text()
    )


@needs_sphinx
@pytest.mark.long
@pytest.mark.parametrize("link", ["[lost](missing.md)", "[lost](missing.toml)", "[lost](index.md#no-such-heading)"])
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, link: str) -> None:
    site = tmp_path / "docs" / "site"
    site.mkdir(parents=True)
    (site / "conf.py").write_text((MENU.parent / "conf.py").read_text(encoding="utf-8"), encoding="utf-8")
    (site / "index.md").write_text(f"# Pages\n\nAll of them, {link}.\n", encoding="utf-8")
    made = _build(tmp_path, tmp_path / "built")
    assert made.returncode != 0
    assert "docs/site/index.md:3: WARNING" in made.stderr


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (LOADED, '<script src="https://elsewhere.example/a.js">'),
        (LOADED, '<link rel="stylesheet" href="//elsewhere.example/a.css">'),
        (IMPORTED, "src: url('https://elsewhere.example/a.woff2')"),
        (IMPORTED, '@import "https://elsewhere.example/a.css"'),
    ],
)
def test_what_asks_another_host_is_seen(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
