"""Every gRPC server is started in one place, where it gets its options and what every call goes through."""

import ast

from lockstep.runtime import process

from .syntax import nodes, nodes_of
from .test_size import ROOT, _sources

HOME = "runtime/process.py"
SERVERS = ("grpc.server", "grpc.aio.server", "aio.server", "grpc.experimental.aio.server")


def calls_of(source: str, names: tuple[str, ...]) -> list[ast.Call]:
    last = {name.rpartition(".")[2] for name in names}
    return [
        node
        for node in nodes_of(source)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in last
        and ast.unparse(node.func) in names
    ]


def test_no_other_module_starts_a_server() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in _sources()
        if not path.is_relative_to(ROOT / "tests")
        and (calls_of(path.read_text(), SERVERS) or "grpc import server" in path.read_text())
    }
    assert found == {HOME}


def test_the_one_call_there_guards_every_call_and_is_given_the_options_of_all() -> None:
    (call,) = calls_of((ROOT / HOME).read_text(), SERVERS)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert given["interceptors"] == "guards"
    assert given["options"] == "list(options)"
    starts = calls_of((ROOT / HOME).read_text(), ("_start",))
    assert {ast.unparse(start.args[0]) for start in starts} == {"PEERS_OPTIONS", "CLIENTS_OPTIONS"}
    assert {ast.unparse(start.args[-1]) for start in starts} == {"(access, guard)", "(access, CallGuard())"}
    assert set(process.SERVER_OPTIONS) <= set(process.CLIENTS_OPTIONS) & set(process.PEERS_OPTIONS)


def test_no_handler_of_the_servers_waits_in_their_loop() -> None:
    """Methods are coroutines, but for operators' orders, which have threads of their own."""
    found = {
        f"{path.relative_to(ROOT)} {node.name}"
        for path in _sources()
        if not path.is_relative_to(ROOT / "tests")
        for node in nodes(path)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Servicer") for base in node.bases)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name[:1].isupper()
    }
    assert not found
