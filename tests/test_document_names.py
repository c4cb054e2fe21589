"""Whatever a document names exists: links, paths, modules, targets of make, metrics, settings and messages."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "configs/*.md", "changelog.d/README.md", "clients/js/*.md")
    for path in ROOT.glob(pattern)
)
PACKAGES = ("mesh", "consensus", "p2p", "step_node")
FOLDERS = {
    "docs/consensus.md": "consensus",
    "docs/chaos.md": "step_node/testing/chaos",
    "docs/simulator.md": "step_node/testing/simulator",
    "docs/mesh-arithmetic.md": "mesh",
    "docs/adr/0005-motor-on-its-own-thread.md": "step_node/storage",
    "docs/adr/0040-javascript-client.md": "clients/js",
    "clients/js/README.md": "clients/js",
}
"""Where a page's bare file names are, if the page is about one package."""
MADE = {
    "htmlcov/",
    "build/screenshots",
    "bench/results.json",
    "bench/curves.json",
    "nightly/",
    "node.log",
    "ban-by-height.fixed.md",
    "cold.json",
    "moving/",
    "clients/js/node_modules",
    "data/old_store_1",
    "backup.json",
    "batches/FIRST-LAST.gz",
    "reports/FIRST-LAST.gz",
    "states/RUN/000000.gz",
    "home/RUN/",
    "restored/keys",
    "plan.json",
    "anna.json",
    "owner0.json",
}
"""What tools and an operator's commands make, and the example of a fragment's name."""


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _spans(text: str) -> list[str]:
    """What stands in single backticks on one line."""
    return re.findall(r"`([^`\n]+)`", text)


def _code(text: str) -> str:
    """Everything that a reader may type: spans and blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *_spans(text)])


def _strings() -> str:
    """Every string literal of what is shipped, the blanks of f-strings as `…`, one a line."""
    found: list[str] = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


STRINGS = _strings()
SOURCES = (*PACKAGES, "clients/js/src", "clients/web/src", "tests", "scripts", "configs", "Makefile", "pyproject.toml")
WORDS = {
    word
    for folder in SOURCES
    for path in ([ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".js", ".ts", ".tsx", ".toml", ".json", "")
    if path.is_file()
    for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
}
FOREIGN_WORDS = {
    "lockedValue",
    "validValue",
    "with_transaction",
    "writeConcern",
    "maxStalenessSeconds",
    "lockedUntil",
    "trusted_proxies",
    "set_real_ip_from",
}
"""The paper's, MongoDB's, those of proxies, and what the API makes of `locked_until`."""


def _slugs(page: str) -> set[str]:
    """The anchors of a page's headings, as those who show Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", _text(page)):
        if "://" in target:
            continue
        file = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in _slugs(str(file.relative_to(ROOT))), f"{target}#{anchor}"


def _is_path(span: str) -> bool:
    form = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", span)
    return form is not None and ("/" in span or re.search(r"\.(py|md|toml|json|log)$", span) is not None)


def _in_a_home(path: str) -> bool:
    """Whether it is one of a home's files, as `step_node/home/paths.py` and those who write there call them."""
    parts = path.rstrip("/").split("/")
    return parts[0] in ("data", "keys", "config.toml", "genesis.json") and all(
        re.search(rf"^(.*/)?{re.escape(part)}$", STRINGS, re.MULTILINE) for part in parts
    )


def _missing_paths(page: str, text: str) -> list[str]:
    """The paths named that are not there: from the root, from `step_node`, in the page's folder, or, for a bare name,
    in the folder of one that was named before it on the same line."""
    missing = []
    for line in text.splitlines():
        folders = [".", "step_node", *([FOLDERS[page]] if page in FOLDERS else [])]
        for span in _spans(line):
            if not _is_path(span) or span in MADE or _in_a_home(span):
                continue
            found = [match for folder in folders for match in (ROOT / folder).glob(span.rstrip("/"))]
            if not found:
                missing.append(span)
            folders += [str(match.parent.relative_to(ROOT)) for match in found[:1]]
    return missing


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_exists(page: str) -> None:
    assert _missing_paths(page, _text(page)) == []


def test_a_path_that_is_not_there_is_noticed() -> None:
    line = "`consensus/machine.py`, `votes.py`, `nowhere.py` and `data/journal.sqlite`, not `data/absent`, `p2p/x.py`"
    assert _missing_paths("README.md", line) == ["nowhere.py", "data/absent", "p2p/x.py"]


@pytest.mark.parametrize("page", PAGES)
def test_every_word_in_backticks_is_one_of_the_code(page: str) -> None:
    named = {span.removesuffix("()") for span in _spans(_text(page)) if re.fullmatch(r"[A-Za-z_]\w+(\(\))?", span)}
    assert {word for word in named - FOREIGN_WORDS if word.removesuffix("_total") not in WORDS} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_dotted_name_of_the_code_exists(page: str) -> None:
    rooms = {path.parent.name for path in (ROOT / "step_node").glob("*/__init__.py")}
    for span in _spans(_text(page)):
        first, *others = span.split(".")
        if not others or not re.fullmatch(r"[\w.]+", span) or _is_path(span) or first not in {*rooms, *PACKAGES}:
            continue
        *modules, name = (["step_node"] if first in rooms else []) + [first, *others]
        owner = importlib.import_module(".".join(modules))
        assert hasattr(owner, name) or importlib.util.find_spec(".".join([*modules, name])), span


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", _text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"^make ((?:[a-z][a-z-]*)?)", _code(_text(page)), re.MULTILINE)) - {""}
    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_module_to_be_run_exists(page: str) -> None:
    for module in re.findall(r"python -m ([\w.]+)", _code(_text(page))):
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_named_is_kept(page: str) -> None:
    named = {span for span in _spans(_text(page)) if re.fullmatch(r"step_\w+", span)} - {"step_node"}
    kept = set(STRINGS.splitlines())
    assert {name for name in named if name not in kept and name.removesuffix("_total") not in kept} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_in_an_example_is_one_of_the_file(page: str) -> None:
    example = _text("configs/config.toml")
    sections: dict[str, str] = dict(re.findall(r"^\[([\w.]+)\]\n(.*?)(?=^\[|\Z)", example, re.DOTALL | re.MULTILINE))
    blocks = re.findall(r"^```toml\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE)
    named = [pair for block in blocks for pair in re.findall(r"^\[(\w+)\]\n((?:\w+ = .*\n)+)", block, re.MULTILINE)]
    named += re.findall(r"`\[(\w+)\] (\w+)`", _text(page))
    for section, keys in named:
        if section in ("network", "load", "expect"):
            continue  # Sections of a scenario, which tests/testing/chaos reads.
        for key in re.findall(r"^\w+", keys, re.MULTILINE):
            assert re.search(rf"^#? ?{key} =", sections[section], re.MULTILINE), f"[{section}] {key}"


def test_every_error_in_the_table_for_operators_is_one_that_the_code_has() -> None:
    table = _text("docs/operators.md").partition("\n## Errors\n")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    for row in rows:
        for message in _spans(row):
            pieces = [piece.strip(" :") for piece in re.split(r"…|\bN\b", message)]
            missing = [piece for piece in pieces if piece not in STRINGS]
            assert missing in ([], ["Address already in use"]), message  # The system's words, not ours.


def test_every_scenario_of_chaos_is_described() -> None:
    table = _text("docs/chaos.md").partition("\n## The scenarios\n")[2].partition("\n## ")[0]
    described = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in _spans(row)]
    assert sorted(described) == sorted(
        path.stem for path in (ROOT / "step_node" / "testing" / "chaos" / "scenarios").glob("*.toml")
    )


def test_every_page_that_the_code_refers_to_exists() -> None:
    missing = []
    for folder in (*PACKAGES, "tests", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            named = re.findall(r"(?<!/)\bdocs/[\w./-]*\w", path.read_text(encoding="utf-8"))
            missing += [f"{path}: {page}" for page in named if not (ROOT / page).exists()]
    assert missing == []
