"""The syntax of the house's files, each parsed once in a process: a dozen tests look at all of them."""

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax, for those who need a few of its nodes only."""
    return ast.parse(path.read_text())


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Every node of a module, the module itself first, in the order of `ast.walk`."""
    return tuple(ast.walk(ast.parse(source)))


def nodes(path: Path) -> tuple[ast.AST, ...]:
    """`nodes_of` what stands in a file."""
    return nodes_of(path.read_text())
