"""The reference pages are current, say something of every public name and every call, and lead somewhere."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import lockstep
from lockstep.gateway import figures as gateway_figures
from lockstep.marketdata import figures as feed_figures
from lockstep.v1 import accounts_pb2, cluster_pb2, feed_pb2, market_data_pb2, orders_pb2, replication_pb2

ROOT = Path(__file__).resolve().parents[2]
SERVICES = (orders_pb2, accounts_pb2, market_data_pb2, feed_pb2, cluster_pb2, replication_pb2)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(generate: ModuleType) -> tuple[dict[Path, str], list[str]]:
    files, problems = generate.pages()
    return files, problems


def test_every_public_name_call_and_command_is_described(built: tuple[dict[Path, str], list[str]]) -> None:
    assert built[1] == []


def test_the_pages_are_what_their_sources_say(built: tuple[dict[Path, str], list[str]]) -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in built[0].items() if path.read_text() != text]
    assert not stale, f"run 'make docs': {stale}"


def test_every_public_name_of_the_client_has_a_heading(built: tuple[dict[Path, str], list[str]]) -> None:
    page = built[0][ROOT / "docs/api/client.md"].splitlines()
    assert [name for name in lockstep.__all__ if f"### {name}" not in page] == []


def test_every_call_message_and_enum_has_a_heading(built: tuple[dict[Path, str], list[str]]) -> None:
    page = built[0][ROOT / "docs/api/services.md"].splitlines()
    wanted = []
    for module in SERVICES:
        file = module.DESCRIPTOR
        wanted += [f"### {name}" for name in (*file.message_types_by_name, *file.enum_types_by_name)]
        for service in file.services_by_name.values():
            wanted += [f"#### {service.name}.{method.name}" for method in service.methods]
    assert [heading for heading in wanted if heading not in page] == []


def test_every_field_of_a_message_stands_below_it(built: tuple[dict[Path, str], list[str]]) -> None:
    page = built[0][ROOT / "docs/api/services.md"]
    for module in SERVICES:
        for name, message in module.DESCRIPTOR.message_types_by_name.items():
            section = page.split(f"\n### {name}\n", 1)[1].split("\n### ", 1)[0]
            lines = [line.strip() for line in section.splitlines()]
            for field in message.fields:
                numbers = [
                    line.partition(f", {field.number})")[1] for line in lines if line.startswith(f"* `{field.name}` (")
                ]
                assert numbers == [f", {field.number})"], f"{name}.{field.name}"


def test_a_call_without_a_comment_is_found(generate: ModuleType) -> None:
    page = generate.Page()
    generate._Proto(page, {}).read(
        "service S {\n  // Does it.\n  rpc A(B) returns (C);\n\n  rpc D(B) returns (C);\n}\n"
    )
    assert page.problems == ["S.D has no comment"]


def test_a_name_without_a_docstring_is_found(generate: ModuleType) -> None:
    page = generate.Page()
    generate._add_class(page, "Undescribed", Undescribed)
    generate._add_function(page, "Undescribed.work", ast.parse("def work(self) -> None: ...").body[0])
    assert page.problems == ["Undescribed has no docstring", "Undescribed.work has no docstring"]


class Undescribed:
    pass


FIGURES = (
    "runtime/metrics",
    "sequencer",
    "replica",
    "gateway",
    "marketdata",
    "reconciler",
    "day",
    "posttrade/alerts",
    "posttrade/audit",
)
WHOLE = ("runtime/metrics", "posttrade/alerts")
"""Folders that have figures in other files, too."""


def metrics_of_the_code() -> set[str]:
    """Names that figures are yielded under, those of the tables of gateway and feed included."""
    names = {f"lockstep_gateway_{name}_total" for name, *_ in gateway_figures._COUNTERS}
    names |= {f"lockstep_gateway_{name}" for name, *_ in gateway_figures._GAUGES}
    names |= {f"lockstep_feed_{name}_total" for name, *_ in feed_figures._COUNTERS}
    names |= {f"lockstep_feed_{name}" for name, *_ in feed_figures._GAUGES}
    for folder in FIGURES:
        for path in (ROOT / folder).glob("*.py"):
            if path.stem.endswith("figures") or folder in WHOLE:
                names |= set(re.findall(r'"(lockstep_[a-z_]+)"', path.read_text()))
    # Those of every follower, under a name of its own.
    follower = (ROOT / "posttrade/figures.py").read_text()
    return names | {f"lockstep_alerts{name}" for name in re.findall(r'\{begin\}(_[a-z_]+)"', follower)}


def test_the_reference_lists_every_metric() -> None:
    page = (ROOT / "docs/operations/reference.md").read_text()
    rows = re.findall(r"^\| (`lockstep_[a-z_]+`(?:, `lockstep_[a-z_]+`)*) \|", page, flags=re.M)
    assert {name.strip("`") for row in rows for name in row.split(", ")} == metrics_of_the_code()
