"""The checker finds nothing in a good run, and each promise that is broken on purpose."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep.reconciler.proof import Balances
from lockstep.stream.batch import decode_batch
from lockstep.stream.records import CommandKind, EventKind
from lockstep.trials.checker.promises import Promise
from tests.restamped import restamped


def test_a_run_without_faults_keeps_every_promise(good_run: Any) -> None:
    verdict = good_run.check()
    assert verdict.violations == ()
    assert verdict.commands == verdict.acknowledged == 200
    assert verdict.fills > 50
    assert (verdict.lost, verdict.duplicated, verdict.reordered, verdict.divergences) == (0, 0, 0, 0)
    assert set(verdict.kept()) == {promise.value for promise in Promise}


def test_an_acknowledged_command_that_the_journal_does_not_hold_is_lost(good_run: Any) -> None:
    run = good_run.with_journal(good_run.replicas[0].journal[:-1])
    spoilt = replace(run, histories=(good_run.histories[1], good_run.histories[0]))
    assert "no_order_lost" in spoilt.broken()
    assert spoilt.check().lost >= 5


def test_a_command_without_an_answer_is_found_once_the_client_has_waited(good_run: Any) -> None:
    history = good_run.histories[0]
    extra = history.sent[-1:].copy()
    extra["session_no"] += 1
    longer = np.concatenate([history.sent, extra])
    assert good_run.with_history(sent=longer).broken() == {"all_answered"}
    assert good_run.with_history(sent=longer, complete=False).broken() == set()


def test_a_command_of_unknown_outcome_may_have_happened(good_run: Any) -> None:
    history = good_run.histories[0]
    cut = history.seen[history.seen["session_no"] < 96]
    cut = cut[cut["seq"] < history.seen["seq"][history.seen["session_no"] == 96][0]]
    assert good_run.with_history(seen=cut, complete=False).broken() == set()
    assert good_run.with_history(seen=cut).broken() == {"all_answered", "no_report_lost"}


def test_a_report_that_never_came_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen
    maker = np.flatnonzero(seen["leg"] == 1)[3]
    assert good_run.with_history(seen=np.delete(seen, maker)).broken() == {"no_report_lost"}
    # In the middle of the history, waiting longer would not have brought it.
    assert good_run.with_history(seen=np.delete(seen, maker), complete=False).broken() == {"no_report_lost"}


def test_a_report_that_came_twice_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen
    assert good_run.with_history(seen=np.insert(seen, 10, seen[10])).broken() == {"no_report_doubled"}
    assert good_run.with_history(seen=np.append(seen, seen[10])).broken() == {"no_report_doubled", "reports_in_order"}


def test_reports_that_changed_places_are_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen.copy()
    seen[[10, 11]] = seen[[11, 10]]
    assert good_run.with_history(seen=seen).broken() == {"reports_in_order"}


def test_an_epoch_that_falls_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen.copy()
    seen["epoch"][:20] = 2
    assert good_run.with_history(seen=seen).broken() == {"reports_in_order"}


@pytest.mark.parametrize("field", ["price_ticks", "leaves_lots", "code", "order_id", "timestamp_ns", "fee_micros"])
def test_a_report_that_says_something_else_is_found(good_run: Any, field: str) -> None:
    seen = good_run.histories[0].seen.copy()
    accepted = np.flatnonzero(seen["kind"] == EventKind.ACCEPTED)[4]
    seen[field][accepted] += 1
    assert good_run.with_history(seen=seen).broken() == {"reports_true"}


def test_a_report_of_what_never_happened_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen
    invented = seen[5:6].copy()
    invented["index"] = 99
    assert good_run.with_history(seen=np.append(seen[:-1], invented)).broken() >= {"reports_true"}


def test_sides_that_were_told_of_different_fills_are_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen.copy()
    seen["quantity_lots"][np.flatnonzero(seen["kind"] == EventKind.TRADE)[2]] += 1
    assert good_run.with_history(seen=seen).broken() == {"reports_true", "fills_match"}


def test_a_command_journaled_with_other_contents_is_found(good_run: Any) -> None:
    sent = good_run.histories[0].sent.copy()
    sent["quantity_lots"][sent["kind"] == CommandKind.NEW_ORDER] += 1
    assert good_run.with_history(sent=sent).broken() == {"no_order_altered"}


def test_a_command_that_nobody_gave_is_found(good_run: Any) -> None:
    assert good_run.with_history(sent=good_run.histories[0].sent[:-1]).broken() == {"no_order_altered"}
    assert "no_order_altered" in replace(good_run, histories=good_run.histories[:1]).broken()


def test_a_command_answered_at_two_places_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen.copy()
    again = seen[-1:].copy()
    again["session_no"], again["leg"] = 1, 0
    spoilt = good_run.with_history(seen=np.append(seen[:-1], again))
    assert "no_order_doubled" in spoilt.broken()


def test_a_command_that_a_replica_executed_twice_is_found(good_run: Any) -> None:
    events = good_run.replicas[1].events.copy()
    own = np.flatnonzero(events["session_id"] == 11)
    events["session_no"][own[-1]] = 1
    broken = good_run.with_replica(events=events).broken()
    assert broken == {"no_order_doubled", "session_order", "one_history"}


def test_a_repeated_command_in_the_journal_is_no_second_execution(good_run: Any) -> None:
    journal = good_run.replicas[0].journal
    last = decode_batch(journal[-1])
    again = restamped(last, first_seq=last.last_seq + 1)
    assert good_run.with_journal((*journal, again.raw)).broken() == set()


def test_a_fill_that_was_told_twice_is_found(good_run: Any) -> None:
    events = good_run.replicas[1].events
    trade = np.flatnonzero(events["kind"] == EventKind.TRADE)[5]
    doubled = np.insert(events, trade, events[trade])
    assert good_run.with_replica(events=doubled).broken() == {"no_fill_doubled", "one_history"}


def test_a_command_that_overtook_one_that_was_answered_before_is_found(good_run: Any) -> None:
    history = good_run.histories[0]
    sent = history.sent.copy()
    sent["sent_ns"][:5] = history.sent["sent_ns"][-1]
    # Its answers had come before as well, which can't be but does not matter to the rule.
    verdict = good_run.with_history(sent=sent).check()
    assert {violation.promise for violation in verdict.violations} == {Promise.LINEARIZABLE}
    assert verdict.reordered == 5


def test_commands_that_overlapped_in_time_may_stand_in_any_order(good_run: Any) -> None:
    sent = good_run.histories[0].sent.copy()
    sent["sent_ns"] = 0
    assert good_run.with_history(sent=sent).broken() == set()


def test_a_session_whose_numbers_changed_places_is_found(good_run: Any) -> None:
    seen = good_run.histories[0].seen.copy()
    first, second = (np.flatnonzero((seen["session_no"] == number) & (seen["leg"] == 0)) for number in (20, 21))
    seen["session_no"][first], seen["session_no"][second] = 21, 20
    assert good_run.with_history(seen=seen).broken() >= {"session_order"}


def test_a_replica_that_executed_a_sessions_numbers_in_another_order_is_found(good_run: Any) -> None:
    events = good_run.replicas[1].events.copy()
    first, second = (np.flatnonzero((events["session_id"] == 11) & (events["session_no"] == n)) for n in (20, 21))
    events["session_no"][first], events["session_no"][second] = 21, 20
    assert good_run.with_replica(events=events).broken() == {"session_order", "one_history"}


@pytest.mark.parametrize("place", [0, 17, -1])
def test_a_journal_with_other_bytes_is_found(good_run: Any, place: int) -> None:
    journal = list(good_run.replicas[1].journal)
    batch = decode_batch(journal[place])
    journal[place] = restamped(batch, timestamp_ns=batch.timestamp_ns + 1).raw
    assert good_run.with_replica(journal=tuple(journal)).broken() == {"one_stream"}


def test_a_replica_that_started_from_a_snapshot_holds_only_what_came_after(good_run: Any) -> None:
    journal, events = good_run.replicas[1].journal, good_run.replicas[1].events
    begin = decode_batch(journal[12]).first_seq
    later = good_run.with_replica(journal=journal[12:], events=events[events["seq"] >= begin])
    assert later.broken() == set()
    assert good_run.with_replica(journal=journal[12:]).broken() == {"one_history"}
    assert good_run.with_replica(events=events[events["seq"] >= begin]).broken() == {"one_history"}
    swapped = replace(later, replicas=later.replicas[::-1])
    assert swapped.broken() == set()


def test_a_journal_whose_batches_begin_elsewhere_is_found(good_run: Any) -> None:
    journal, events = list(good_run.replicas[1].journal[12:]), good_run.replicas[1].events
    batch = decode_batch(journal[0])
    journal[0] = restamped(batch, first_seq=batch.first_seq + 1, records=batch.records[1:]).raw
    spoilt = good_run.with_replica(journal=tuple(journal), events=events[events["seq"] > batch.first_seq])
    assert spoilt.broken() == {"one_stream"}


def test_without_a_whole_journal_nothing_is_proven(good_run: Any) -> None:
    cut = [replace(replica, journal=replica.journal[5:]) for replica in good_run.replicas]
    assert "one_stream" in replace(good_run, replicas=tuple(cut)).broken()


def test_a_gap_in_the_stream_is_found(good_run: Any) -> None:
    journal = good_run.replicas[0].journal
    holed = (*journal[:10], *journal[11:])
    run = replace(good_run, replicas=tuple(replace(replica, journal=holed) for replica in good_run.replicas))
    assert "one_stream" in run.broken()


@pytest.mark.parametrize(("field", "value"), [("timestamp_ns", 0), ("epoch", 0), ("epoch", 2)])
def test_time_that_goes_back_and_epochs_that_change_unsaid_are_found(good_run: Any, field: str, value: int) -> None:
    wrong: dict[str, Any] = {field: value}
    journal = list(good_run.replicas[0].journal)
    journal[20] = restamped(decode_batch(journal[20]), **wrong).raw
    run = replace(good_run, replicas=tuple(replace(replica, journal=tuple(journal)) for replica in good_run.replicas))
    assert "one_stream" in run.broken()


def test_a_digest_of_another_history_is_found(good_run: Any) -> None:
    assert good_run.with_replica(digest=bytes(16)).broken() == {"digests_equal"}
    assert good_run.with_replica(digest=bytes(16)).check().divergences == 1


def test_events_that_are_not_the_specifications_are_found(good_run: Any) -> None:
    events = good_run.replicas[1].events.copy()
    events["price_ticks"][-1] += 1
    assert good_run.with_replica(events=events).broken() == {"one_history"}
    assert good_run.with_replica(events=events[:-1]).broken() == {"one_history"}


def test_money_from_nowhere_and_money_at_the_wrong_account_are_found(good_run: Any) -> None:
    balances = good_run.replicas[1].balances
    richer = Balances({**balances.cash_micros, 1: balances.cash_micros[1] + 1}, balances.lots)
    assert good_run.with_replica(balances=richer).broken() == {"money_conserved"}
    moved = Balances({1: balances.cash_micros[1] + 1, 2: balances.cash_micros[2] - 1}, balances.lots)
    assert good_run.with_replica(balances=moved).broken() == {"money_conserved"}
