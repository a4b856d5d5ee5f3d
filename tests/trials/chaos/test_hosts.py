"""Hosts on one machine: cables that are late, lossy and out of order, cuts, and one undone while another lasts."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EVERY = list(range(50))


@pytest.fixture(scope="module")
def found() -> Mapping[str, Any]:
    script = Path(__file__).with_name("host_network.py")
    done = subprocess.run([sys.executable, script, "measure"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout)
    if "impossible" in measured:
        pytest.skip(f"no hosts on this machine: {measured['impossible']}")
    return measured


@pytest.mark.parametrize("when", ["plain", "late, others", "plain again", "whole"])
def test_a_good_wire_brings_everything_in_order_and_soon(found: Mapping[str, Any], when: str) -> None:
    assert found[when]["order"] == EVERY
    assert found[when]["median_ms"] < 20


@pytest.mark.parametrize("when", ["late", "late, the other way", "late, to the outside"])
def test_latency_is_added_on_the_way_to_the_host_alone(found: Mapping[str, Any], when: str) -> None:
    assert found[when]["order"] == EVERY
    assert found[when]["median_ms"] >= 20


def test_a_bad_wire_passes_what_the_kernel_left_to_the_hardware(found: Mapping[str, Any]) -> None:
    to_host, from_host = found["late, bulk"]
    assert to_host == from_host
    assert to_host.startswith("3000064 ")


def test_a_lossy_wire_loses_its_share(found: Mapping[str, Any]) -> None:
    assert 100 < len(found["lossy"]["order"]) < 180


def test_jitter_lets_frames_overtake_each_other(found: Mapping[str, Any]) -> None:
    order = found["out of order"]["order"]
    assert sorted(order) == EVERY
    assert order != EVERY


def test_what_one_fault_undoes_leaves_the_others(found: Mapping[str, Any]) -> None:
    assert [answer["order"] for answer in found["late and cut"]] == [[], []]
    assert found["still cut"]["order"] == []
    among_hosts, outside = found["apart"]
    assert (among_hosts["order"], outside["order"]) == ([], EVERY)
    assert found["still apart"]["order"] == []
