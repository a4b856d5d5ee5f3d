"""docs/engine.md and the reference engine are one text: what code names is there, and the checks stand in its order."""

import inspect
import re
from pathlib import Path
from typing import Final

import pytest

from lockstep.engine.reference import new_order, replace
from lockstep.engine.reference.checks import Check

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "docs" / "engine.md").read_text()
CODE = sorted((ROOT / "engine" / "reference").glob("*.py"))
NO_RULES: Final = ("What is implemented", "Known bugs of other engines, and the test that looks for each")
NAMED = re.compile(r'\*([A-Z][\w -]*)\*(?:,? "([^"]+)")?(?:,? (check )?(\d+[a-f]?)(?: (?:to|and) (\d+))?)?')
NUMBER = re.compile(r"\*New order\* check (\d+[a-f]?)")


def _sections() -> dict[str, str]:
    parts = re.split(r"(?m)^##+ (.+)$", RULES)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SECTIONS = _sections()


def _in_one_line(text: str) -> str:
    """Without the breaks of lines and the marks of comments."""
    return re.sub(r"\s+(?:# )?", " ", text)


def _named(path: Path) -> list[tuple[str, ...]]:
    """(section, title in it, "check " or nothing, number, last number) as the module says them."""
    return [found.groups(default="") for found in NAMED.finditer(_in_one_line(path.read_text()))]


def _has(section: str, title: str, check: str, number: str) -> bool:
    text = SECTIONS[section]
    if title not in _in_one_line(text):
        return False
    mark = rf"^\| {number} \|" if check else rf"^{number}\. "
    return not number or re.search(mark, text, re.MULTILINE) is not None


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_what_the_engine_names_of_the_rules_is_there(path: Path) -> None:
    wrong = [
        (section, title, number)
        for section, title, check, first, last in _named(path)
        for number in (first, last)
        if section not in SECTIONS or not _has(section, title, check, number)
    ]
    assert not wrong


def test_each_section_of_the_rules_is_named_by_what_carries_it_out() -> None:
    named = {section for path in CODE for section, *_ in _named(path)}
    assert [section for section in SECTIONS if section not in named] == list(NO_RULES)


def _table() -> dict[str, str]:
    """Code of each check, by number."""
    return dict(re.findall(r"(?m)^\| (\d+[a-f]?) \| .* \| ([^|]+) \|$", SECTIONS["New order"]))


def _numbers(checks: tuple[Check, ...]) -> list[str]:
    """As the first words of their docstrings say; nothing for those that a replace alone has."""
    found = [NUMBER.match(check.__doc__ or "") for check in checks]
    return [one[1] for one in found if one]


def test_a_new_order_is_checked_in_the_order_of_the_table() -> None:
    table = _table()
    of_the_command = re.findall(r"code = Code\.(\w+)", inspect.getsource(new_order.new_order))
    assert of_the_command == list(table.values())[: len(of_the_command)]
    assert _numbers(new_order.CHECKS) == list(table)[len(of_the_command) :]
    assert len(_numbers(new_order.CHECKS)) == len(new_order.CHECKS)


def test_a_replace_is_checked_in_the_order_of_its_list() -> None:
    listed = _in_one_line(SECTIONS["Replace"]).partition("Checks: ")[2].partition(" Refused (")[0].split(";")
    numbers = [(re.findall(r"\b\d\d?[a-f]?\b", part), "unless it lessens" in part) for part in listed]
    assert _numbers(replace.CHECKS) == [number for part, _ in numbers for number in part]
    assert _numbers(replace.CHECKS_IF_IT_LESSENS) == [
        number for part, unless in numbers if not unless for number in part
    ]
    skipped = [check for check in replace.CHECKS if check not in replace.CHECKS_IF_IT_LESSENS]
    assert [check for check in replace.CHECKS if check not in skipped] == list(replace.CHECKS_IF_IT_LESSENS)
