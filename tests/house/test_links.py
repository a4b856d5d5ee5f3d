"""Links between the documents lead somewhere."""

import re
from pathlib import Path

import pytest

from .test_rooms import modules

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "*/DESIGN.md", "clients/**/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)
IN_INDEX = ("api", "concepts", "operations")
"""Folders of docs/ each of whose pages stands in the index; runbooks and decisions have a line for the folder."""
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def slug(heading: str) -> str:
    """The anchor that a heading has."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in path.read_text().splitlines() if line.startswith("#")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    wrong = []
    for target in LINK.findall(path.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            wrong.append(target)
    assert not wrong


def test_every_page_stands_in_the_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text()
    folders = (docs, *(docs / name for name in IN_INDEX))
    listed = [str(path.relative_to(docs)) for folder in folders for path in folder.glob("*.md")]
    missing = [name for name in listed if f"({name})" not in index]
    assert missing == ["README.md"]


def test_every_decision_stands_in_their_list() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text()
    pages = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert [page.name for page in pages if f"]({page.name})" not in listed] == []


def test_every_decision_that_code_names_exists() -> None:
    """Numbers go: a page is renamed, or two lines of work take the same one."""
    pages = {page.name[:4] for page in (ROOT / "docs/adr").glob("0*.md")}
    wrong = []
    for path in (*modules().values(), *DOCUMENTS):
        named = {(a or b).rjust(4, "0") for a, b in re.findall(r"adr/(\d{4})|ADR (\d+)", path.read_text())}
        wrong += [f"{path.relative_to(ROOT)}: {number}" for number in sorted(named - pages)]
    assert not wrong
