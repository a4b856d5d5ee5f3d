"""Seeds that once found a real bug, each with what it found. `docs/TRACK_RECORD.md` says where it was mended.

A seed repeats its run only as long as the simulation draws the same dice (these were found again, with the mended part
taken out, when it last changed them); the machines' own tests keep the exact cases.
"""

import pytest

from lockstep.trials.simulation.run import simulate
from tests.seeds import one_in

FOUND = {
    57: "the leader's window dropped frames that no engine had, so that nobody could ever get them",
    189: "the same, with other engines",
    182: "two engines that had left the in-sync set asked each other, for ever, for frames that both lacked",
    1030: "an engine copied a divergent tail from another that did not know yet that it was out, as committed",
    520: "a gateway did not learn the answers that it gave a resuming client, and waited for commands that never come",
    3087: "an engine acknowledged a divergent tail to a leader that had removed it, and stopped another engine",
    700244: "a gateway believed an engine with a new disk about where the cluster stands, and asked for what was cut",
    700838: "a fenced engine with a new disk never took a snapshot, although every journal had been cut",
    701584: "nobody could switch automatic failover on while the leader's takeover waited for just that",
    5001: "an engine that started from a snapshot did not know whose the epoch was, and dropped every frame",
    20183: "a paused takeover that waited for an engine with a lost disk did not let automatic failover be switched on",
    1854: "a killed gateway's late word took a session from the gateway to which its client had gone meanwhile",
    1912: "two of three engines contradicted each other at the end of the log, the third had less of it: nobody led",
    5597: "failover could not be switched on at a candidate while the leader was mute",
    22800: "the one snapshot that was kept was taken of a dead engine, and the events before it had not been flushed",
    23881: "the same, and a client missed them",
    24408: "an operator could fence the engine that was whole in favour of one with a new disk that had not spoken",
    26836: "the operator did not see that the engine that was left had a new disk, which the cluster does not believe",
    26225: "as 22800, after other faults",
    21035: "the judge took an engine with a new disk for empty for ever, and the operator forced a failover from it",
    14521: "engines that lost power together waited for a command to show that their logs end where the leader stands",
    667: "a gateway cut off from the sequencers took an epoch back, and went on with a stream under the one before",
    391: "an engine that had stopped for good took one more contradiction for a reason to leave, and died of it",
    2293: "a gateway brought in orders of a session that was closed meanwhile, and nobody was left to cancel them",
    83: "a gateway whose host had died refused a number for ever, since its intake log knew less of the session",
    70165: "a gateway that heard engines and no sequencer delivered seqs under a lower epoch than they have",
    9355: "a wiped engine took a fence for proof of its empty log, and asked the leader without effect, for ever",
}


@pytest.mark.parametrize("seed", one_in(3, FOUND))
def test_seed_that_once_failed_is_clean(seed: int) -> None:
    outcome = simulate(seed)
    assert not outcome.violation, f"{FOUND[seed]}, again? {outcome.violation}"
