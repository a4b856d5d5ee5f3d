"""Configuration files: what is accepted, and how each mistake is named."""

import itertools
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.runtime import config
from lockstep.runtime.config import ConfigError
from lockstep.runtime.topology import Limits, ProcessKind, Timing

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"

MINIMAL = """
[cluster]
name = "test"
etcd_endpoints = ["127.0.0.1:2379"]
aeron_dir = "aeron"
[[sequencer]]
id = 1
grpc_port = 1001
watch_port = 1002
[[engine]]
id = 1
grpc_port = 1003
watch_port = 1004
data_dir = "engine-1"
[[gateway]]
id = 1
grpc_port = 1005
watch_port = 1006
data_dir = "gateway-1"
"""


def parse(text: str) -> object:
    return config.parse(text, origin="cluster.toml", base=Path("/base"))


def test_example_file_is_a_valid_configuration() -> None:
    topology = config.load(EXAMPLE)
    assert [m.id for m in topology.engines] == [1, 2]
    assert topology.engines[0].data_dir == EXAMPLE.parent / "engine-1"


def test_example_file_lists_exactly_the_known_keys() -> None:
    document = tomllib.loads(EXAMPLE.read_text())
    assert set(document) == set(config.SECTIONS)
    for section, keys in config.SECTIONS.items():
        row = document[section][0] if section in config.REPEATED else document[section]
        assert set(row) == {key.name for key in keys}, section


def test_example_file_shows_the_defaults_of_limits_and_timing() -> None:
    assert config.load(EXAMPLE).limits == Limits()
    assert config.load(EXAMPLE).timing == Timing()


def test_example_file_explains_each_key_where_it_stands_first() -> None:
    lines = EXAMPLE.read_text().splitlines()
    explained = {line.split(" = ")[0] for before, line in itertools.pairwise(lines) if before.startswith("#")}
    assert {key.name for keys in config.SECTIONS.values() for key in keys} <= explained


def test_rendered_topology_parses_to_the_same_topology() -> None:
    topology = config.load(EXAMPLE)
    text = config.render(topology, heading="written by a test")
    assert config.parse(text, origin="x", base=Path("/elsewhere")) == topology


def test_minimal_file_gets_defaults() -> None:
    topology = config.parse(MINIMAL, origin="x", base=Path("/base"))
    assert topology.member(ProcessKind.ENGINE, 1).data_dir == Path("/base/engine-1")
    assert topology.ack_policy == "synced"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("[cluster]", "[cluster]\ncolour = 1", ["cluster.toml", "unknown key 'colour'", "[cluster]", "remove it"]),
        ("[cluster]", "surprise = 1\n[cluster]", ["unknown section or key 'surprise'"]),
        ('name = "test"', "", ["[cluster] lacks 'name'", "add it"]),
        ("id = 1", 'id = "one"', ["'id'", "whole number", "'one'"]),
        ("id = 1", "id = true", ["'id'", "whole number"]),
        ("grpc_port = 1001", "grpc_port = 70000", ["'grpc_port'", "[[sequencer]] number 1", "1 to 65535"]),
        ("grpc_port = 1001", "grpc_port = 1003", ["127.0.0.1:1003", "used twice", "engine-1", "sequencer-1"]),
        ("id = 1", "id = 64", ["64", "outside 1..63"]),
        ('etcd_endpoints = ["127.0.0.1:2379"]', "etcd_endpoints = []", ["'etcd_endpoints'", "not empty"]),
        ('"gateway-1"', '"engine-1"', ["data_dir", "used twice"]),
        ("[[sequencer]]", "[sequencer]", ["write [[sequencer]]"]),
        ("[cluster]", "[[cluster]]", ["write [cluster]"]),
        ('"aeron"', '"aeron"\nack_policy = "hope"', ["ack_policy 'hope'", "synced, replicated"]),
        ('"engine-1"', '"engine-1"\nengine = "warp"', ["'warp'", "reference"]),
        ("[[gateway]]", '[[gateway]]\nhost = "10.0.0.1"', ["data_port", "several hosts"]),
        ("[cluster]", "[timing]\nhang_ms = 0\n[cluster]", ["'hang_ms'", "1 or more"]),
        ("[cluster]", "[[[", ["not TOML"]),
    ],
)
def test_mistake_is_named_with_file_key_and_remedy(old: str, new: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(MINIMAL.replace(old, new, 1))
    assert "\n" not in str(caught.value)
    for part in ["cluster.toml", *parts]:
        assert part in str(caught.value)


def test_duplicate_member_id_is_refused() -> None:
    second = '[[engine]]\nid = 1\ngrpc_port = 1007\nwatch_port = 1008\ndata_dir = "other"\n'
    with pytest.raises(ConfigError, match="engine id 1 is used twice"):
        parse(MINIMAL + second)


def test_cluster_without_engines_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no engine; add at least one \[\[engine\]\]"):
        parse(MINIMAL[: MINIMAL.index("[[engine]]")] + MINIMAL[MINIMAL.index("[[gateway]]") :])


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; start a local cluster with `lockstep up`"):
        config.load(tmp_path / "absent.toml")


def test_client_tokens_stay_out_of_errors() -> None:
    row = '[[client]]\nname = "{}"\ntoken = "hunter2"\nnumber = {}\n'
    with pytest.raises(ConfigError) as caught:
        parse(MINIMAL + row.format("a", 1) + row.format("b", 2))
    assert "hunter2" not in str(caught.value)


def test_an_address_of_any_door_beyond_loopback_opens_nothing_to_everybody() -> None:
    topology = replace(config.load(EXAMPLE), clients=())
    topology = replace(topology, ledger=replace(topology.ledger, host="127.0.0.1"))
    topology = replace(topology, alerts=replace(topology.alerts, host="127.0.0.1"))
    assert topology.open
    (gateway, *others) = topology.gateways
    beyond = "10.0.0.5"
    for other in (
        replace(topology, gateways=(replace(gateway, soup=f"{beyond}:7460"), *others)),
        replace(topology, ledger=replace(topology.ledger, host=beyond, grpc_port=1, metrics_port=0)),
        replace(topology, ledger=replace(topology.ledger, host=beyond, grpc_port=0, metrics_port=1)),
        replace(topology, alerts=replace(topology.alerts, host=beyond, grpc_port=1, http_port=0, metrics_port=0)),
        replace(topology, alerts=replace(topology.alerts, host=beyond, grpc_port=0, http_port=1, metrics_port=0)),
        replace(topology, reconciler=replace(topology.reconciler, host=beyond, metrics_port=1)),
    ):
        assert not other.open
