"""Every gRPC server is started in one place, where it gets its options and what every call goes through."""

import ast

from lockstep.runtime import process, undecodable

from .test_size import ROOT, _sources

HOME = "runtime/process.py"
SERVERS = ("grpc.server", "grpc.aio.server", "aio.server", "grpc.experimental.aio.server")


def calls_of(source: str, names: tuple[str, ...]) -> list[ast.Call]:
    return [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and ast.unparse(node.func) in names
    ]


def test_no_other_module_starts_a_server() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in _sources()
        if not path.is_relative_to(ROOT / "tests")
        and (calls_of(path.read_text(), SERVERS) or "grpc import server" in path.read_text())
    }
    assert found == {HOME}


def test_every_server_there_refuses_what_it_cannot_decode_and_has_the_options_of_all() -> None:
    calls = calls_of((ROOT / HOME).read_text(), SERVERS)
    assert len(calls) == 2
    refusers = {undecodable.UndecodableRefused.__name__, undecodable.AioUndecodableRefused.__name__}
    for call in calls:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given["options"] in ("list(SERVER_OPTIONS)", "list(CLIENTS_OPTIONS)")
        assert any(f"{name}()" in given["interceptors"] for name in refusers), given
    assert set(process.SERVER_OPTIONS) < set(process.CLIENTS_OPTIONS)
