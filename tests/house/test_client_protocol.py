"""Each rule of docs/client-protocol.md names tests that exist, and each test of the contract belongs to a rule."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "client-protocol.md").read_text()
RULES = dict(re.findall(r"(?ms)^\*\*(C\d+)\.\*\*(.*?)(?=^\*\*C\d|^## |\Z)", TEXT))


def _tests(folder: Path) -> set[str]:
    return {
        name
        for path in folder.rglob("test_*.py")
        for name in re.findall(r"(?m)^ *(?:async )?def (test_\w+)\(", path.read_text())
    }


ALL_TESTS = _tests(ROOT / "tests")


def _named(rule: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", RULES[rule])


def test_rules_are_numbered_without_a_gap() -> None:
    assert list(RULES) == [f"C{number}" for number in range(1, len(RULES) + 1)]


@pytest.mark.parametrize("rule", RULES)
def test_rule_names_tests_that_exist(rule: str) -> None:
    named = _named(rule)
    assert named, f"{rule} is a promise without a test"
    missing = [name for name in named if name not in ALL_TESTS]
    assert not missing, f"{rule} names what is not there: {missing}"


def test_every_contract_test_belongs_to_a_rule() -> None:
    named = {name for rule in RULES for name in _named(rule)}
    idle = _tests(ROOT / "tests" / "gateway" / "contract") - named
    assert not idle, f"docs/client-protocol.md does not say what these hold: {sorted(idle)}"


def test_rules_that_are_referred_to_exist() -> None:
    referred = set(re.findall(r"\bC\d+\b", TEXT))
    assert referred <= set(RULES)
