"""RTS 25: which class a venue is in, how far a clock may be from UTC, and a record that shows changes."""

import shutil
import sys
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from lockstep.ops.cli.main import cli
from lockstep.ops.local.ports import HOST, free_ports
from lockstep.posttrade.audit.clock_watch import ClockWatch, chrony, latencies
from lockstep.posttrade.audit.clocks import FAST, SLOW, ClockFault, checked, clock_of, demand_of, faults_of
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.metrics.families import histogram
from lockstep.runtime.metrics.server import MetricsServer, exposition
from lockstep.runtime.metrics.tally import Latencies
from lockstep.runtime.topology import Member, ProcessKind, Topology

LOCAL = (
    "7F7F0101,,8,1796092622.959372136,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,"
    "0.0,Normal\n"
)
"""What chrony 4.3 has printed that had no source but `local`."""


def tracking(offset: str = "-0.000012345", delay: str = "0.000080000", dispersion: str = "0.000020000", leap="Normal"):
    return (
        f"A29FC87B,time.example,2,1796092622.959372136,{offset},0.000001000,0.000002000,-3.5,0.001,0.02,"
        f"{delay},{dispersion},64.2,{leap}\n"
    )


def test_the_bound_is_that_of_chronys_manual():
    clock = clock_of(tracking())
    assert (clock.source, clock.stratum, clock.divergence_ns, clock.why) == ("time.example", 2, 72_345, "")
    assert faults_of(clock, FAST) == []
    far = clock_of(tracking(dispersion="0.000047656"))
    assert far.divergence_ns == 100_001
    assert faults_of(far, FAST) == ["the clock may be 100.0 us from UTC, and 100 us are allowed"]
    assert faults_of(far, SLOW) == []


@pytest.mark.parametrize("said", [LOCAL, tracking(leap="Not synchronised")])
def test_a_clock_that_nothing_has_set_is_not_good_enough_however_near_it_says_it_is(said):
    assert len(faults_of(clock_of(said), SLOW)) == 1


@pytest.mark.parametrize("said", ["", "506 Cannot talk to daemon\n", tracking("nan"), tracking("inf"), tracking("x")])
def test_what_is_no_tracking_is_refused_in_words(said):
    with pytest.raises(ClockFault, match="chronyc tracking"):
        clock_of(said)


def buckets(*durations_ns: int) -> dict[float, float]:
    taken = Latencies()
    for one in durations_ns:
        taken.add(one)
    family = histogram("lockstep_gateway_submit_to_report_seconds", "x", taken)
    return {float(one.labels["le"]): one.value for one in family.samples if one.name.endswith("_bucket")}


def test_the_class_follows_from_the_ninety_ninth_percentile():
    fast, slow = 400_000, 1_200_000
    assert demand_of(buckets(*[fast] * 99, slow)) == (FAST, 0.99)
    assert demand_of(buckets(*[fast] * 98, slow, slow)) == (SLOW, 0.98)
    assert demand_of(buckets(1_000_000)) == (FAST, 1.0), "a millisecond is no more than one"
    assert demand_of(buckets()) == demand_of({}) == (FAST, None), "what was not measured may be fast"


def topology(*ports: int) -> Topology:
    members = tuple(
        Member(ProcessKind.GATEWAY, number, HOST, 1, metrics_port=port) for number, port in enumerate(ports, 1)
    )
    engine = Member(ProcessKind.ENGINE, 1, HOST, 1)
    return Topology("t", (), Path(), (), (engine,), members)


def test_latency_is_that_of_all_gateways_that_answer():
    (port, dead) = free_ports(2)
    taken = Latencies()
    taken.add(400_000, 3)
    taken.add(5_000_000, 2)
    source = lambda: [histogram("lockstep_gateway_submit_to_report_seconds", "x", taken)]  # noqa: E731
    assert b"submit_to_report" in exposition(source)
    server = MetricsServer(HOST, port, source, lambda _authorization, _peer: None)
    try:
        found = latencies(topology(port, dead))
    finally:
        server.close()
    assert demand_of(found) == (SLOW, 0.6)


def test_each_line_of_the_record_has_the_hash_of_the_last(tmp_path):
    record = tmp_path / "clocks.jsonl"
    said = iter((tracking(), tracking("0.2"), LOCAL))
    for _ in range(3):
        one = ClockWatch(record, topology(), lambda: next(said))
        one.measure()
        one.close()
    # One that a kill has cut off.
    with record.open("a") as file:
        file.write('{"allowed_ns":100000,"at"')
    watch = ClockWatch(record, topology(), lambda: pytest.fail("it is said in words"))
    watch._ask = lambda: chrony((sys.executable, "-c", "raise SystemExit(1)"))
    assert "exit code 1" in watch.measure()[3][0]
    with pytest.raises(EnvironmentFault, match="another process writes the record"):
        ClockWatch(record, topology(), tracking)
    watch.close()
    lines = record.read_text().splitlines()
    found = checked(lines)
    assert (found.lines, found.faulty, found.worst_ns) == (4, 3, 10**9)
    for changed in (
        lines[:1] + lines[2:],
        lines[1:],
        [lines[0].replace("72345", "72344"), *lines[1:]],
        ["[]"],
        [lines[0].replace("72345", '"abc"')],
    ):
        with pytest.raises(ClockFault):
            checked(changed)
    record.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(EnvironmentFault, match="line 1 does not follow"):
        ClockWatch(record, topology(), tracking)


def test_chrony_that_is_not_there_is_said_with_the_remedy():
    with pytest.raises(EnvironmentFault, match=r"install chrony, or name it \(--chronyc\)"):
        chrony(("/nowhere/chronyc",))


def test_the_command_measures_judges_and_checks(tmp_path):
    config = tmp_path / "cluster.toml"
    shutil.copy(Path(__file__).parents[2] / "runtime" / "cluster.example.toml", config)
    record, said = tmp_path / "clocks.jsonl", tmp_path / "said"

    def run(*words: str) -> tuple[int, str]:
        asked = f"cat {said}"
        words_of = ["audit", "clocks", str(record), "--config", str(config), "--chronyc", asked, *words]
        done = CliRunner().invoke(cli, words_of, standalone_mode=False)
        if isinstance(done.exception, ClickException):
            return done.exception.exit_code, done.exception.message
        assert done.exception is None, done.exc_info
        return done.return_value, done.output

    assert run("--metrics-port", "9000")[0] == 2
    said.write_text(tracking())
    code, shown = run()
    assert code == 0, shown
    assert "100 us from UTC at most" in shown
    assert "72.4 us at most from time.example" in shown or "72.3 us at most from time.example" in shown
    assert run("--check")[0] == 0
    said.write_text(LOCAL)
    assert run()[0] == 1
    code, shown = run("--check")
    assert (code, "2 measurements" in shown, "1 were not good enough" in shown) == (1, True, True), shown
    record.write_text(record.read_text().replace('"stratum":2', '"stratum":1'))
    assert "does not follow" in run("--check")[1]
