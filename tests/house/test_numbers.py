"""Numbers that may be absent are asked for with `is None`, and money is parsed in one place."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from lockstep.orders import OrderTerms

from .syntax import nodes, nodes_of
from .test_size import ROOT, _sources

MONEY = "clients/python/lockstep/arguments.py"
SDK = ROOT / "clients/python/lockstep"
NUMBERS = {"int", "float", "Decimal", "Price"}
TERMS = frozenset(OrderTerms.__annotations__)
_NUMBER = r"\b(?:int|float|Decimal|Price)\b"
CANDIDATE = re.compile(rf"{_NUMBER}[^\n]*\| *None|None *\|[^\n]*{_NUMBER}|\.get\(['\"](?:{'|'.join(TERMS)})\b")
"""In every file that has something to be found; most have not, and need not be parsed."""
MAKERS = ("Decimal", "getcontext", "setcontext", "localcontext", "quantize", "normalize", "scaleb")


def may_be_absent(annotation: ast.expr | None) -> bool:
    """Whether it is a union of None and a number."""
    parts, more = [], [annotation]
    while more:
        part = more.pop()
        if isinstance(part, ast.BinOp):
            more += [part.left, part.right]
        else:
            parts.append(part)
    none = any(isinstance(part, ast.Constant) and part.value is None for part in parts)
    return none and any(isinstance(part, ast.Name) and part.id in NUMBERS for part in parts)


def deciding_expressions(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """Expressions whose truth decides something; `x or 0` is left out, which makes no difference of 0."""
    for node in nodes:
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node.test
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
        elif isinstance(node, ast.BoolOp):
            last = node.values[-1]
            zero = isinstance(last, ast.Constant) and last.value == 0 and isinstance(node.op, ast.Or)
            yield from () if zero else node.values[:-1]


def absent_names(found: Sequence[ast.AST]) -> list[tuple[range, set[str]]]:
    """Lines of each function, and its arguments and locals that are numbers and may be absent."""
    locals_ = [
        (node.lineno, node.target.id)
        for node in found
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and may_be_absent(node.annotation)
    ]
    functions = []
    for node in found:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            names = {argument.arg for argument in arguments if may_be_absent(argument.annotation)}
            functions.append((lines, names | {name for line, name in locals_ if line in lines}))
    return functions


def truth_tests_of_numbers(source: str, *, fields: frozenset[str] = frozenset()) -> list[str]:
    """Where a number that may be absent is tested for truth: an argument, a local, one of `fields`, an order's term."""
    nodes = nodes_of(source)
    functions = absent_names(nodes)
    found = []
    for test in deciding_expressions(nodes):
        match test:
            case ast.Name(name) if any(test.lineno in lines and name in names for lines, names in functions):
                found.append(f"{test.lineno} {name}")
            case ast.Attribute(attr=name) if name in fields:
                found.append(f"{test.lineno} .{name}")
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=name), *_]) if name in TERMS:
                found.append(f"{test.lineno} get({name!r})")
    return found


def optional_fields(source: str) -> frozenset[str]:
    """Fields of classes, and terms of orders, that may be absent."""
    return TERMS | {
        node.target.id
        for owner in nodes_of(source)
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and may_be_absent(node.annotation)
    }


def program_sources() -> list[tuple[Path, str]]:
    return [(path, path.read_text()) for path in _sources() if not path.is_relative_to(ROOT / "tests")]


def test_no_number_that_may_be_absent_is_tested_for_truth() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{place}"
        for path, text in program_sources()
        if path.is_relative_to(SDK) or CANDIDATE.search(text)
        for place in truth_tests_of_numbers(
            text, fields=optional_fields(text) if path.is_relative_to(SDK) else frozenset()
        )
    ]
    assert not found, f"0 counts as absent here; ask `is None`: {found}"


@pytest.mark.parametrize(
    "body",
    [
        "if stop: pass",
        "return 1 if stop else 2",
        "return stop or price",
        "return not stop",
        "while stop and price: pass",
        "return [1 for _ in () if stop]",
        "return 1 if terms.get('stop_price') else 2",
        "return terms.get('trail_ticks', 0) or default",
        "if self.expiry: pass",
    ],
)
def test_each_way_of_testing_such_a_number_for_truth_is_found(body: str) -> None:
    source = f"def call(self, terms, price: int, default: int, stop: Price | None = None):\n    {body}\n"
    assert len(truth_tests_of_numbers(source, fields=frozenset({"expiry"}))) == 1
    allowed = (
        "def call(stop: int | None = None, lots: int = 0):\n    return stop or 0 if stop is None and lots else stop\n"
    )
    assert truth_tests_of_numbers(allowed) == []


def test_decimals_are_made_and_reckoned_with_in_one_place() -> None:
    found = []
    for path, text in program_sources():
        if path == ROOT / MONEY or not any(name in text for name in MAKERS):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name in MAKERS:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not found, f"there the caller's decimal context decides; use {MONEY}: {found}"
