"""docs/protocol.md stays true: modules and tests that it names exist, and so do the planted bugs, in one list each."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
RULES = {int(part.split(".")[0]): part for part in re.split(r"(?m)^### |^## ", PROTOCOL) if re.match(r"\d+\. ", part)}


def _planted() -> dict[str, int]:
    """Name, in words, and bound of each planted bug."""
    tree = ast.parse((ROOT / "tests" / "trials" / "simulation" / "test_planted.py").read_text())
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "bug":
                (bound,) = decorator.args
                assert isinstance(bound, ast.Constant)
                assert isinstance(bound.value, int)
                found[node.name.replace("_", " ")] = bound.value
    return found


def _in_words(text: str) -> str:
    return " ".join(text.replace("-", " ").split())


def _named_bugs() -> dict[int, list[str]]:
    named = {}
    for number, text in RULES.items():
        _, _, listed = text.partition("planted:")
        named[number] = [_in_words(each) for each in listed.strip().rstrip(".").split(";") if each.strip()]
    return named


def test_all_thirteen_rules_are_there() -> None:
    assert sorted(RULES) == list(range(1, 14))


@pytest.mark.parametrize("number", RULES)
def test_rule_has_its_reason_its_place_and_its_tests(number: int) -> None:
    text = RULES[number]
    assert "*Why" in text
    where, _, checked = text.partition("*Where.*")[2].partition("*Checked by*")
    assert where
    assert checked
    places = re.findall(r"`([\w/.]+/[\w/.]+)`", where)
    tests = re.findall(r"`(tests/[\w/.]+)`", checked)
    assert places
    assert tests
    missing = [path for path in (*places, *tests) if not (ROOT / path).exists()]
    assert not missing, f"rule {number} names what is not there: {missing}"


def test_every_planted_bug_belongs_to_one_rule() -> None:
    named = sorted(name for names in _named_bugs().values() for name in names)
    assert named == sorted(_planted())


def test_track_record_has_the_bounds_of_all_planted_bugs() -> None:
    table = (ROOT / "docs" / "TRACK_RECORD.md").read_text().partition("## Planted bugs")[2]
    rows = {_in_words(name): int(bound) for name, bound in re.findall(r"(?m)^\| (.+?) \| (\d+) seeds \|$", table)}
    assert rows == _planted()


def test_what_a_receiver_believes_is_held_by_tests_that_exist() -> None:
    believed = PROTOCOL.partition("## What a receiver believes of a frame")[2].partition("\n## ")[0]
    rows = [line for line in believed.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 5
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row)
        assert named, f"nothing holds: {row}"
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(), f"{path} has no {test}"
