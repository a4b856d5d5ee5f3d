"""Every value of a configuration has bounds or a form; whatever the file holds, what comes out is one message."""

import contextlib
import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.gateway.sessions import GATEWAY_CLIENT_BASE
from lockstep.replica.release import MAX_EVENTS
from lockstep.runtime import config, tokens
from lockstep.runtime.config import ConfigError
from lockstep.runtime.config_values import BOUNDS, Key, is_endpoint, is_host
from lockstep.runtime.driver import DriverOptions
from lockstep.runtime.topology import Topology, buffers
from lockstep.stream.batch import MAX_BATCH_COMMANDS
from lockstep.stream.records import COMMAND, EVENT

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"
TEXT = EXAMPLE.read_text()
NUMBERS = [(section, key) for section, keys in config.SECTIONS.items() for key in keys if key.kind == "number"]


def parse(text: str) -> Topology:
    return config.parse(text, origin="cluster.toml", base=Path("/base"))


def with_value(section: str, name: str, value: str) -> str:
    """The example with another value of one key, where the section stands first."""
    head, mark, rest = TEXT.partition(f"\n[[{section}]]\n" if section in config.REPEATED else f"\n[{section}]\n")
    assert mark, section
    lines = rest.splitlines()
    place = next(at for at, line in enumerate(lines) if line.startswith(f"{name} = "))
    lines[place] = f"{name} = {value}"
    return head + mark + "\n".join(lines) + "\n"


def message(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    found = str(caught.value)
    assert found.startswith("cluster.toml: ")
    assert "\n" not in found
    assert len(found) < 600
    return found


@pytest.mark.parametrize(("section", "key"), NUMBERS, ids=lambda value: getattr(value, "name", value))
def test_every_number_has_bounds_that_are_named(section: str, key: Key) -> None:
    above = key.high + key.step
    for value in (str(above), str(2**63), str(10**4000), "0x" + "f" * 5000):
        found = message(with_value(section, key.name, value))
        assert f"'{key.name}'" in found or "outside 1..63" in found
    assert f"'{key.name}'" in message(with_value(section, key.name, "-1"))
    if key.low:
        assert f"must be {key.low} or more" in message(with_value(section, key.name, str(key.low - key.step)))
    for value in ("1.5", '"1"', "true", "[1]", "{}", "2026-01-01", "inf", "nan"):
        assert f"'{key.name}'" in message(with_value(section, key.name, value))


def test_bounds_are_those_of_what_uses_the_values() -> None:
    udp_mtu = next(key for key in config.SECTIONS["cluster"] if key.name == "udp_mtu")
    for value in (udp_mtu.low, udp_mtu.high):
        assert DriverOptions(udp_mtu_bytes=value).udp_mtu_bytes == value
        assert parse(with_value("cluster", "udp_mtu", str(value))).udp_mtu == value
    assert tokens.OPERATOR_NUMBERS < GATEWAY_CLIENT_BASE
    assert BOUNDS["batch_commands"][1] == MAX_BATCH_COMMANDS


@pytest.mark.parametrize(
    ("value", "part"),
    [("0", "512 or more"), ("1000000000", "at most 65504"), ("65535", "at most"), ("1400", "a multiple of 32")],
)
def test_an_mtu_that_no_driver_takes_is_refused(value: str, part: str) -> None:
    found = message(with_value("cluster", "udp_mtu", value))
    assert "'udp_mtu'" in found
    assert part in found


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:2379 ",
        " 127.0.0.1:2379", ":2379", "http://127.0.0.1:2379", "127.0.0.1:2379/", "127.0.0.1:" + "9" * 20, "a b:1",
        "256.1.1.1:2379", "1.2.3:2379", "::1:2379", "[::1]", "[::g]:2379", "host:port", "-host:1", "host..name:1", "",
        "127.0.0.1:٢٣٧٩", "a|b:1", "x" * 64 + ":1", "etcd1:2379,etcd2:2379",
    ],
)  # fmt: skip
def test_an_etcd_endpoint_without_host_and_port_is_refused(endpoint: str) -> None:
    for listed in (f'["{endpoint}"]', f'["127.0.0.1:2379", "{endpoint}"]'):
        found = message(with_value("cluster", "etcd_endpoints", listed))
        assert "'etcd_endpoints' must be a list of host:port texts" in found


def test_endpoints_that_are_right_are_taken() -> None:
    for endpoint in ("127.0.0.1:1", "etcd-1.example.com:65535", "localhost:2379", "[::1]:2379", "my_host:2379"):
        assert is_endpoint(endpoint), endpoint
        assert parse(with_value("cluster", "etcd_endpoints", f'["{endpoint}"]')).etcd_endpoints == (endpoint,)


@pytest.mark.parametrize("host", ["", " ", "a b", "10.0.0.256", "10.0.0", "host:1", "::1", "a|b", "http://a", "a/b"])
@pytest.mark.parametrize("section", ["sequencer", "engine", "gateway", "reconciler"])
def test_a_host_that_cannot_be_one_is_refused(section: str, host: str) -> None:
    assert not is_host(host)
    assert "'host'" in message(with_value(section, "host", f'"{host}"'))


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("cluster", "aeron_dir"), ("engine", "data_dir"), ("gateway", "data_dir"), ("reconciler", "data_dir"),
        ("reconciler", "key_file"), ("reconciler", "client_logs"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["", "a\\u0000b", "a\\nb", "x" * 1025, "é" * 600])
def test_a_path_that_no_file_system_takes_is_refused(section: str, name: str, path: str) -> None:
    assert f"'{name}' in" in message(with_value(section, name, f'"{path}"')).replace(f"'{name}' must", f"'{name}' in")


@pytest.mark.parametrize(
    ("section", "name", "path", "part"),
    [
        ("cluster", "aeron_dir", "engine-1", "used twice|lies in"),
        ("cluster", "aeron_dir", "engine-1/aeron", "aeron_dir .* lies in data_dir of engine-1"),
        ("cluster", "aeron_dir", ".", "lies in aeron_dir"),
        ("cluster", "aeron_dir", "/base", "lies in aeron_dir"),
        ("cluster", "aeron_dir", "/", "lies in aeron_dir"),
        ("cluster", "aeron_dir", "x/../gateway-1", "lies in"),
        ("engine", "data_dir", "gateway-1/engine", "data_dir of engine-1 .* lies in data_dir of gateway-1"),
        ("reconciler", "data_dir", "engine-2", "lies in"),
        ("reconciler", "key_file", "engine-1/key.pem", "key_file .* lies in data_dir of engine-1"),
        ("reconciler", "client_logs", "gateway-1/logs", "client_logs .* lies in data_dir of gateway-1"),
    ],
)
def test_no_directory_holds_another_ones(section: str, name: str, path: str, part: str) -> None:
    assert re.search(part, message(with_value(section, name, f'"{path}"')))


def test_the_media_drivers_directory_does_not_hold_the_configuration() -> None:
    elsewhere = TEXT.replace('"engine-', '"/data/engine-').replace('"gateway-', '"/data/gateway-')
    elsewhere = elsewhere.replace('"reconciler', '"/data/reconciler').replace('"client-logs', '"/data/client-logs')
    for path in (".", "/base", "/"):
        assert "aeron_dir" in message(elsewhere.replace('"/dev/shm/lockstep-example"', f'"{path}"'))


@pytest.mark.parametrize(
    ("section", "name", "value", "part"),
    [
        ("reconciler", "metrics_port", "7491", "address 127.0.0.1:7491 is used twice"),
        ("cluster", "etcd_endpoints", '["127.0.0.1:7461"]', "address 127.0.0.1:7461 is used twice"),
        ("cluster", "etcd_endpoints", '["a:1", "a:1"]', "etcd endpoint a:1 is used twice"),
        ("timing", "hang_ms", "20", "every peer would count as hung"),
        ("client", "accounts", "[4294967296]", "'accounts'"),
        ("client", "accounts", "[0]", "'accounts'"),
        ("client", "number", str(GATEWAY_CLIENT_BASE), "'number' must be at most"),
        ("cluster", "name", '"a/b"', "'name'"),
        ("cluster", "name", '"a\\tb"', "'name'"),
    ],
)
def test_values_that_do_not_go_together_or_mean_nothing_are_refused(
    section: str, name: str, value: str, part: str
) -> None:
    assert part in message(with_value(section, name, value))


@pytest.mark.parametrize("token", ['"hunter 2"', '"hunter2\\n"', '"hunter2é"', "200200", '["hunter2"]'])
def test_a_token_of_the_wrong_form_is_refused_and_stays_out_of_the_message(token: str) -> None:
    found = message(with_value("client", "token", token))
    assert "'token'" in found
    assert "hunter2" not in found
    assert "200200" not in found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x = " + "9" * 5000, "thousands of digits"),
        (f"[timing]\nhang_ms = {'9' * 5000}\n", "thousands of digits"),
        ("x = " + "[" * 10_000, "nested too deeply"),
        ("x = " + "{a=" * 10_000, "nested too deeply"),
        (".".join("a" * 3000) + " = 1", "unknown section or key"),
        ('"' + "k" * 100_000 + '" = 1', "unknown section or key 'kkk"),
        ('"a\\nb" = 1', "unknown section or key"),
        ("\x00", "not TOML"),
        ("[cluster]\nname = '''a\nb'''", "'name'"),
        ("cluster = 1", "must be one section"),
        ("engine = [1]\n[cluster]\nname='a'\netcd_endpoints=['a:1']\naeron_dir='x'", "is a repeated section"),
    ],
)
def test_a_file_of_strange_content_is_one_message(text: str, part: str) -> None:
    assert part in message(text)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert config.load(path).name == "example"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    assert config.load(path).name == "example"


def test_a_file_that_is_no_text_or_no_file_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    for raw, part in ((TEXT.encode("utf-16"), "save it as UTF-8"), (b"# " + b"x" * (1 << 20), "longer than")):
        path.write_bytes(raw)
        with pytest.raises(ConfigError, match=part):
            config.load(path)
    for other, part in (
        (tmp_path, "Is a directory"),
        (path / "x", "Not a directory"),
        (Path("/dev/zero"), "longer than"),
    ):
        with pytest.raises(ConfigError, match=part):
            config.load(other)
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(ConfigError, match="symbolic links"):
        config.load(loop)


VALUES = st.recursive(
    st.one_of(
        st.integers(), st.integers(-(10**30), 10**30), st.booleans(), st.text(max_size=20), st.floats(), st.dates(),
        st.sampled_from(["127.0.0.1:2379", "native", "synced", "a/b", "0", 65_504, 8192]),
        st.integers(4290, 4310).map(lambda digits: 10**digits),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
NAMES = sorted({key.name for keys in config.SECTIONS.values() for key in keys})
DOCUMENTS = st.dictionaries(
    st.sampled_from(sorted(config.SECTIONS)),
    st.one_of(
        VALUES,
        st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
        st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8), max_size=3),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(document=DOCUMENTS, keep=st.booleans())
def test_no_values_lead_to_anything_but_a_configuration_error(document: dict[str, object], keep: bool) -> None:
    whole = tomllib.loads(TEXT) if keep else {}
    for section, row in document.items():
        if keep and isinstance(row, dict) and isinstance(whole.get(section), dict):
            whole[section] = whole[section] | row
        else:
            whole[section] = row
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ConfigError):
        patch.setattr(tomllib, "loads", lambda _: whole)
        assert_usable(parse(""))


def assert_usable(topology: Topology) -> None:
    """What was accepted is within its bounds, and can be written and read again."""
    for values in (topology.limits, topology.timing, topology.snapshots):
        for name in values.__dataclass_fields__:
            low, high = BOUNDS[name]
            assert low <= getattr(values, name) <= high
    assert all(is_endpoint(endpoint) for endpoint in topology.etcd_endpoints)


@settings(max_examples=100, deadline=None)
@given(
    at=st.integers(0, len(TEXT)),
    length=st.integers(0, 40),
    put=st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            ['"', "'''", "[", "]", "{", "=", "\n", ".", "-", "9" * 5000, "[" * 3000, "\ufeff", "0x", "1e9"]
        ),
    ),
)
def test_no_change_of_a_file_leads_to_anything_but_a_configuration_error(at: int, length: int, put: str) -> None:
    text = TEXT[:at] + put + TEXT[at + length :]
    with contextlib.suppress(ConfigError):
        assert_same_when_written(parse(text))


def assert_same_when_written(topology: Topology) -> None:
    assert_usable(topology)
    rendered = config.render(topology, heading="again")
    assert config.parse(rendered, origin="again", base=Path("/other")) == topology


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError):
        config.load(path)


@pytest.mark.parametrize("value", ["9", "12", "1000"])
def test_a_term_that_is_no_power_of_two_is_refused(value: str) -> None:
    assert "power of two" in message(with_value("cluster", "term_mib", value))


def test_every_term_that_is_accepted_carries_the_longest_message_and_suits_the_driver() -> None:
    term = next(key for key in config.SECTIONS["cluster"] if key.name == "term_mib")
    for mib in (term.low, term.high):
        assert parse(with_value("cluster", "term_mib", str(mib))).term_mib == mib
        DriverOptions(ipc_term_bytes=mib << 20, udp_term_bytes=mib << 20)
    longest = max(MAX_BATCH_COMMANDS * COMMAND.itemsize, MAX_EVENTS * EVENT.itemsize)
    assert longest + 1024 <= (term.low << 20) // 8


def test_links_of_one_host_are_counted() -> None:
    one_host = parse(TEXT)
    sequencers, engines, gateways = (len(m) for m in (one_host.sequencers, one_host.engines, one_host.gateways))
    both_ways = sequencers * gateways + sequencers * engines
    assert buffers(one_host) == 2 * both_ways + engines * (engines - 1) + engines * (gateways + len(one_host.feeds))
    first, *others = one_host.engines
    apart = dataclasses.replace(one_host, engines=(dataclasses.replace(first, host="elsewhere"), *others))
    assert buffers(apart) == buffers(one_host)
