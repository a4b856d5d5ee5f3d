"""The config value and its legal steps."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstep.sequencer.config_record import (
    ConfigError,
    ConfigRecord,
    PlanRefused,
    decode_config,
    decode_config_of,
    encode_config,
    plan_bootstrap,
    plan_fence_result,
    plan_fenced,
    plan_grow,
    plan_promote,
    plan_shrink,
    plan_takeover,
)
from lockstep.stream.arrival import MAX_STORED_EPOCH

Make = Callable[..., ConfigRecord]


def test_config_survives_its_codec(make_config: Make) -> None:
    record = make_config(learners=(3,))
    assert decode_config(encode_config(record)) == record


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epoch": "4"}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"in_sync": [1, "2"]}, "in_sync"),
        ({"in_sync": []}, "in_sync is empty"),
        ({"in_sync": [2, 1]}, "ascending"),
        ({"learners": [2]}, "overlap"),
        ({"primary": 3}, "primary 3"),
        ({"epoch": 0}, "epoch 0"),
        ({"uuid": ""}, "uuid"),
        ({"uuid": "my-cluster"}, "'my-cluster' is not a uuid"),
    ],
)
def test_malformed_value_is_refused_with_the_field_named(make_config: Make, change: dict[str, Any], word: str) -> None:
    value = json.loads(encode_config(make_config())) | change
    del value["crc32c"]  # as written by hand
    with pytest.raises(ConfigError, match=word):
        decode_config(json.dumps(value).encode())


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff"])
def test_value_that_is_no_json_object_is_refused(value: bytes) -> None:
    with pytest.raises(ConfigError):
        decode_config(value)


def test_takeover_epoch_is_above_the_stored_and_the_promised(make_config: Make) -> None:
    stored = make_config(epoch=4)
    assert plan_takeover(stored, sequencer=2, highest_promised=2, attempt="a").epoch == 5
    assert plan_takeover(stored, sequencer=2, highest_promised=9, attempt="a").epoch == 10


def test_last_in_sync_engine_is_never_removed(make_config: Make) -> None:
    stored = make_config()
    with pytest.raises(PlanRefused, match="never removed"):
        plan_shrink(stored, lost=(1, 2), prefer=(), attempt="a")
    with pytest.raises(PlanRefused, match="never removed"):
        plan_fence_result(stored, answered=(), attempt="a")


def test_shrink_begins_a_new_epoch_and_keeps_a_living_primary(make_config: Make) -> None:
    stored = make_config(in_sync=(1, 2, 3))
    shrunk = plan_shrink(stored, lost=(2,), prefer=(1, 3), attempt="a")
    assert (shrunk.epoch, shrunk.primary, shrunk.in_sync, shrunk.learners) == (5, 1, (1, 3), (2,))


def test_promotion_takes_only_an_in_sync_engine(make_config: Make) -> None:
    stored = make_config(learners=(3,))
    assert plan_promote(stored, primary=2, attempt="a").primary == 2
    with pytest.raises(PlanRefused, match="not in sync"):
        plan_promote(stored, primary=3, attempt="a")
    assert plan_shrink(stored, lost=(1,), prefer=(3, 2), attempt="a").primary == 2


def test_grow_keeps_the_epoch(make_config: Make) -> None:
    grown = plan_grow(make_config(learners=(3,)), member=3, attempt="a")
    assert (grown.epoch, grown.in_sync, grown.learners) == (4, (1, 2, 3), ())
    with pytest.raises(PlanRefused, match="already"):
        plan_grow(grown, member=3, attempt="b")


def test_record_that_contradicts_itself_cannot_be_made(make_config: Make) -> None:
    with pytest.raises(ConfigError):
        replace(make_config(), in_sync=(2,))


def test_flipped_bit_anywhere_in_a_stored_record_is_never_read_as_another_record(
    make_config: Callable[..., ConfigRecord],
) -> None:
    record = make_config(known_seq=12_345, learners=(3,), fenced=(4,))
    raw = encode_config(record)
    assert decode_config(raw) == record
    for at in range(len(raw)):
        for bit in range(8):
            flipped = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            try:
                # In the checksum's own name: all else is as it was.
                assert decode_config(flipped) == record
            except ConfigError:
                continue


def test_record_that_a_person_writes_needs_no_checksum(make_config: Callable[..., ConfigRecord]) -> None:
    value = json.loads(encode_config(make_config()))
    value["primary"] = 2
    with pytest.raises(ConfigError, match="by hand, write it without 'crc32c'"):
        decode_config(json.dumps(value).encode())
    del value["crc32c"]
    assert decode_config(json.dumps(value).encode()).primary == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attempt": ""}, "attempt must not be empty"),
        ({"epoch": 2**49}, "is outside 1..2^49"),
        ({"sequencer": 0}, "sequencer 0 is outside"),
        ({"known_seq": -1}, "known_seq -1 is outside"),
        ({"learners": (70,)}, "must be ascending, unique"),
    ],
)
def test_record_with_a_value_out_of_bounds_cannot_be_made(
    make_config: Make, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        make_config(**change)


def test_record_of_a_cluster_names_its_engines_and_an_epoch_that_can_be(make_config: Make) -> None:
    assert decode_config_of(encode_config(make_config()), (1, 2, 3)) == make_config()
    with pytest.raises(ConfigError, match="which the configuration lacks"):
        decode_config_of(encode_config(make_config()), (1,))
    with pytest.raises(ConfigError, match="none that a cluster can have reached"):
        decode_config_of(encode_config(make_config(epoch=MAX_STORED_EPOCH + 1)), (1, 2, 3))


def test_what_makes_no_sense_is_refused_with_the_reason(make_config: Make) -> None:
    config = make_config()
    with pytest.raises(PlanRefused, match="at least one configured engine"):
        plan_bootstrap(uuid=config.uuid, engines=(), sequencer=1, highest_promised=0, attempt="a")
    with pytest.raises(PlanRefused, match="nothing to remove"):
        plan_shrink(config, lost=(63,), prefer=(1,), attempt="a")
    with pytest.raises(PlanRefused, match="in sync already"):
        plan_grow(config, member=config.primary, attempt="a")
    with pytest.raises(PlanRefused, match="is fenced"):
        plan_grow(make_config(fenced=(63,)), member=63, attempt="a")
    with pytest.raises(PlanRefused, match="has to be evicted"):
        plan_fenced(config, member=config.primary, fenced=True, attempt="a")
