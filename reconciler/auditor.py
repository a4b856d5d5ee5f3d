"""One reconciler at work: pass after pass it follows the committed history, executes it, and applies every rule to it.

What is held in memory is one chunk of batches (about a megabyte), the engine's state, the books, and what gateways hold
unanswered. The position moves on only with what was checked; see `work.py` for how it survives a crash.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.engine.implementations import implementation
from lockstep.reconciler.books import books_of, holdings_of
from lockstep.reconciler.case_file import BreakState, CaseFile
from lockstep.reconciler.certificate import RangeFigures, load_key, sign, state_figures
from lockstep.reconciler.checks import (
    Waiting,
    compare_fills,
    concerning,
    fill_sum,
    fills_of,
    orphan_break,
    orphans,
)
from lockstep.reconciler.clients import ClientLogs
from lockstep.reconciler.downstream import Downstream
from lockstep.reconciler.pace import Pace
from lockstep.reconciler.replicas import Panel, Peer
from lockstep.reconciler.rules import Break, Rule
from lockstep.reconciler.setup import AuditSetup, Intakes
from lockstep.reconciler.sources import Balances, SourceAway, SourceDamaged
from lockstep.reconciler.twin import Executed, Start, StreamBroken, Twin
from lockstep.reconciler.work import BLOCK_SEQS, Work
from lockstep.runtime.output import put_whole
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import CONTROL, CommandKind, Events, join_records

Act = Callable[[Waiting], str]
"""What is done about an orphan; what came of it, in words."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass did."""

    verified_seq: int
    target_seq: int
    found: int
    """Breaks that are new, or open again."""
    seconds: float
    halted: str
    """Why nothing more can be verified; empty if it can."""
    through_ns: int = 0
    """Unix time: what was committed up to then is verified; 0: nothing yet."""

    @property
    def caught_up(self) -> bool:
        """Everything that is committed was verified."""
        return not self.halted and 0 < self.target_seq <= self.verified_seq


class Auditor:
    """See the module. Belongs to one thread.

    Raises:
        EnvironmentFault: a directory or file can't be used.
    """

    def __init__(self, setup: AuditSetup, case: CaseFile, act: Act | None = None) -> None:
        self.setup = setup
        self.case = case
        self._act = act
        self._work = Work(setup.data_dir)
        self._downstream = Downstream(setup.downstream or setup.data_dir / "downstream.db")
        self._key = load_key(setup.key_file or setup.data_dir / "key.pem")
        self._engine_type = implementation(setup.engine)
        self._intakes = Intakes(setup.intakes)
        self._clients = ClientLogs(setup.client_logs, self._work)
        self._asked: dict[str, Balances] = {}
        self._halted = ""
        self._audited_block = 0
        self._in_sync: int | None = None
        self._certified_ns = time.time_ns()
        self._pace = Pace()
        self._looked_seq = -1
        """Where the last look at all balances and some old fills was; -1: there was none."""
        start, range_text = self._work.start()
        if start.seq > self._downstream.seq:
            # The copy was moved away, or is another: what it lacks follows from the journals, so all is done again.
            start, range_text = Start(), ""
            self._work.clear()
            self._clients = ClientLogs(setup.client_logs, self._work)
        self._begin(start)
        if range_text:
            self._range = RangeFigures.from_json(range_text)
        self._panel = Panel([Peer(source, start.seq) for source in setup.replicas])

    def _begin(self, start: Start) -> None:
        self._twin = Twin(self._engine_type, start)
        self._sessions, self._ledger = books_of(start.image())
        self._range = RangeFigures.after(start)
        self._checkpoint_seq = start.seq

    @property
    def verified_seq(self) -> int:
        """Everything up to this command was checked."""
        return self._twin.seq

    # ---- one pass --------------------------------------------------------------------------------------------------

    def run_pass(self, *, everything: bool = False) -> PassResult:
        """Follow the history as far as it is committed now, in bounds, and look at everything else once.

        Args:
            everything: without bounds on commands and blocks of fills.
        """
        began = time.monotonic()
        now_ns = time.time_ns()
        breaks: list[Break] = []
        waiting = self._read_intakes(breaks)
        self._panel.refresh()
        self._find_start()
        target = self._panel.target()
        self._ask_balances()
        self._clients.look(self._twin.seq, self._sessions.has, self._past_of)
        if not self._halted:
            most = 1 << 62 if everything else self.setup.pass_commands
            breaks += self._follow(min(target, self._twin.seq + most))
            self._panel.follow_up(self._twin.seq)
            self._panel.compare_uncommitted(self._twin)
        breaks += self._panel.take_breaks()
        behind = self._twin.seq < target
        if everything or self._pace.may_look(time.monotonic(), behind=behind):
            breaks += self._look_again(everything=everything, blocks=1 if behind else self.setup.audit_blocks)
        breaks += self._clients.compare(self._twin.seq)
        found = self.case.found(breaks, looked_ns=now_ns)
        if self._twin.seq >= target > 0 and not self._halted:
            found += self._look_for_unknown(waiting, now_ns)
            found += self.case.found(self._short_journals(target), looked_ns=now_ns)
        caught_up = self._twin.seq >= target > 0 and not self._halted
        through_ns = now_ns if caught_up else self._twin.timestamp_ns
        result = PassResult(self._twin.seq, target, found, time.monotonic() - began, self._halted, through_ns)
        if self._twin.seq - self._checkpoint_seq >= self.setup.checkpoint_commands:
            self._checkpoint()
        self._write_facts(result)
        return result

    def _read_intakes(self, breaks: list[Break]) -> list[Waiting]:
        waiting: list[Waiting] = []
        for reader in self._intakes.readers():
            try:
                waiting += reader.read()
            except SourceAway as error:
                self._intakes.drop(reader, str(error))
            except SourceDamaged as error:
                breaks.append(Break(Rule.JOURNAL_DAMAGED, f"intake log of {reader.name}", str(error)))
        return waiting

    def _find_start(self) -> None:
        """Start from a replica's state where journals do not reach back to the first command."""
        if self._twin.seq or self._downstream.seq:
            return
        start = self._state_to_start_from()
        if start is None:
            return
        self._begin(start)
        # Before the copy begins: after a crash in between all is done again, and nothing stands behind a gap.
        self._checkpoint()
        self._downstream.start_at(start.seq, dict(self._ledger.amounts), self._ledger.unit_micros)
        for peer in self._panel.peers:
            peer.checked_seq = start.seq

    def _state_to_start_from(self) -> Start | None:
        """None: a journal reaches back to the first command, or nobody answers."""
        found: list[Start] = []
        without = ""
        for peer in self._panel.ready(1):
            try:
                if peer.begins_at_first():
                    return None
                # Running engines report their state of now: one of them is enough.
                start = None if found and peer.source.live else peer.source.snapshot()
            except (SourceAway, SourceDamaged):
                continue
            if start is not None:
                found.append(start)
            elif not found:
                without = peer.name
        if without and not found:
            raise EnvironmentFault(
                f"the journal of {without} does not reach back to the first command and there is no state to "
                "start from; reconcile with the cluster running, or from a journal that is whole"
            )
        return min(found, key=lambda start: start.seq, default=None)

    def _ask_balances(self) -> None:
        for peer in self._panel.peers:
            if not peer.usable or peer.name in self._asked:
                continue
            try:
                found = peer.source.balances()
            except SourceAway as error:
                peer.away = str(error)
                continue
            if found is not None:
                self._asked[peer.name] = found

    def _past_of(self, session_id: int) -> Iterable[Events] | None:
        for peer in self._panel.ready(self._twin.seq):
            try:
                past = peer.source.session_events(session_id, self._twin.seq)
                if past is not None:
                    return list(past)
            except (SourceAway, SourceDamaged):
                continue
        return None

    # ---- following the history -------------------------------------------------------------------------------------

    def _follow(self, to_seq: int) -> list[Break]:
        breaks = self._compare_balances()
        while self._twin.seq < to_seq:
            chunk = self._panel.next_chunk(self._twin, to_seq)
            if chunk is None:
                if self._panel.cut:
                    self._halt(
                        f"{self._panel.cut}: what follows seq {self._twin.seq} was cut before it was verified; "
                        "go on from a replica's state with a new data_dir"
                    )
                break
            done: list[Executed] = []
            try:
                done.extend(self._twin.execute(batch) for batch in chunk.batches)
            except StreamBroken as error:
                name = chunk.peers[0].name
                breaks.append(Break(Rule.JOURNAL_DAMAGED, f"{name} after seq {self._twin.seq}", str(error)))
                self._halt(f"the journal of {name} breaks off: {error}")
                break
            if not self._panel.judge(chunk, done):
                self._halt(f"no replica confirms what the commands after seq {done[0].batch.first_seq - 1} lead to")
                break
            breaks += self._verify(done, chunk.peers)
        return breaks

    def _halt(self, why: str) -> None:
        """What was executed can't be believed: go back to the last checkpoint and stay there."""
        self._halted = why
        start, range_text = self._work.start()
        self._begin(start)
        if range_text:
            self._range = RangeFigures.from_json(range_text)

    def _verify(self, done: Sequence[Executed], peers: Sequence[Peer]) -> list[Break]:
        breaks: list[Break] = []
        first, last = done[0].batch.first_seq, done[-1].batch.last_seq
        self._feed_downstream(first, last, done, peers)
        events = np.frombuffer(b"".join(each.events.tobytes() for each in done), dtype=done[0].events.dtype)
        breaks += self._sessions.book(join_records([each.batch.records for each in done]), events)
        for each in done:
            breaks += self._ledger.book(each.batch, each.events)
            self._note_roles(each)
            self._range.add(each)
            # Replicas report their balances after some command; these are the books' after the same one.
            breaks += self._compare_balances(each.batch.last_seq)
        fills = fills_of(events)
        self._work.add_fills(fills)
        breaks += compare_fills(fills, self._downstream.fills(first, last))
        self._work.expect(concerning(events), self._clients.session_ids)
        return breaks

    def _feed_downstream(self, first: int, last: int, done: Sequence[Executed], peers: Sequence[Peer]) -> None:
        if self._downstream.seq >= last:
            return
        for peer in peers:
            try:
                reported = peer.source.events(first, last)
            except (SourceAway, SourceDamaged):
                continue
            if reported is not None and len(reported):
                self._downstream.apply(reported, last)
                return
        # Journals at rest may lack stored events; what the commands lead to is the same.
        for each in done:
            self._downstream.apply(each.events, each.batch.last_seq)

    def _compare_balances(self, seq: int | None = None) -> list[Break]:
        at = self._twin.seq if seq is None else seq
        breaks: list[Break] = []
        for name, reported in list(self._asked.items()):
            if reported.seq == at:
                breaks += self._ledger.compare(name, reported.holdings, at, first=reported.first, last=reported.last)
            if reported.seq <= at:
                del self._asked[name]
        return breaks

    def _note_roles(self, done: Executed) -> None:
        records = done.batch.records
        for place in np.flatnonzero(records["kind"] >= CommandKind.EPOCH_START).tolist():
            control = records[place : place + 1].view(CONTROL)[0]
            kind = int(control["kind"])
            if kind == CommandKind.EPOCH_START:
                self._in_sync = int(control["in_sync"])
            elif kind == CommandKind.GROW and self._in_sync is not None:
                self._in_sync |= 1 << int(control["member"])
            elif kind == CommandKind.GROW_REVOKED and self._in_sync is not None:
                self._in_sync &= ~(1 << int(control["member"]))

    # ---- everything else -------------------------------------------------------------------------------------------

    def _look_again(self, *, everything: bool, blocks: int) -> list[Break]:
        """All balances, and old fills: what grows with the history; see `Pace`."""
        began_s = time.monotonic()
        breaks = self._look_downstream(everything=everything, most=blocks)
        breaks += self._ledger.compare("execution", holdings_of(self._twin.engine.accounts()), self._twin.seq)
        self._looked_seq = self._twin.seq
        self._pace.on_looked(began_s, time.monotonic())
        return breaks

    def _look_downstream(self, *, everything: bool, most: int) -> list[Break]:
        """The copy's balances, fills that nobody may have written, and old fills once more, block by block (R5-R8)."""
        breaks: list[Break] = []
        if self._downstream.seq == self._twin.seq:
            breaks += self._ledger.compare("downstream", self._downstream.balances(), self._twin.seq)
            breaks += compare_fills(self._downstream.fills(0, -1), self._downstream.stray_fills())
        if self._downstream.seq < self._twin.seq:
            return breaks
        blocks = self._twin.seq // BLOCK_SEQS + 1
        for _ in range(blocks if everything else min(blocks, most)):
            block = self._audited_block % blocks
            self._audited_block = block + 1
            first, last = block * BLOCK_SEQS, min((block + 1) * BLOCK_SEQS - 1, self._twin.seq)
            copied = self._downstream.fills(first, last)
            if (len(copied), fill_sum(copied)) != self._work.fill_sum(block):
                breaks += self._what_differs(first, last, block)
        return breaks

    def _what_differs(self, first: int, last: int, block: int) -> list[Break]:
        copied = self._downstream.fills(first, last)
        for peer in self._panel.ready(last):
            try:
                reported = peer.source.events(max(first, 1), last)
            except (SourceAway, SourceDamaged):
                continue
            if reported is None:
                continue
            right = fills_of(reported)
            if (len(right), fill_sum(right)) == self._work.fill_sum(block):
                return compare_fills(right, copied)
        text = "the fills of these commands are not those that were copied once; no replica tells which"
        return [Break(Rule.ALTERED_FILL, f"fills of seq {first}..{last}", text, first)]

    def _short_journals(self, target: int) -> list[Break]:
        """Journals at rest that end before what was committed while they were in sync."""
        breaks = []
        for peer in self._panel.peers:
            in_sync = self._in_sync is not None and bool(self._in_sync >> peer.source.member & 1)
            behind = peer.tip is not None and peer.tip.applied_seq < target
            if peer.tip is not None and in_sync and behind and not peer.source.live:
                text = f"it ends at seq {peer.tip.applied_seq}; while it was in sync, {target} was committed"
                breaks.append(Break(Rule.JOURNAL_DAMAGED, f"{peer.name} end", text, peer.tip.applied_seq))
        return breaks

    def _look_for_unknown(self, waiting: Sequence[Waiting], now_ns: int) -> int:
        """R1 and R2, which look at everything each time and so know when a break is gone."""
        known = self._sessions.has
        after_ns = self.setup.orphan_ns
        late = orphans(waiting, known, now_ns=now_ns, after_ns=after_ns)
        found = []
        for entry in late:
            broken = orphan_break(entry, now_ns)
            outcome = self._act(entry) if self._act is not None else ""
            found.append(Break(broken.rule, broken.subject, f"{broken.detail}; {outcome}") if outcome else broken)
        fresh = self.case.found(found, looked_ns=now_ns)
        self.case.settle(Rule.ORPHAN, found, "the command is in the stream, or its gateway holds it no more")
        held_by_gateways = {(entry.session_id, entry.session_no) for entry in waiting}

        def held(session_id: int, session_no: int) -> bool:
            return known(session_id, session_no) or (session_id, session_no) in held_by_gateways

        lost = self._clients.unanswered(known, held, now_ns=now_ns, after_ns=after_ns)
        fresh += self.case.found(lost, looked_ns=now_ns)
        self.case.settle(Rule.LOST_COMMAND, lost, "the command is in the stream, or a gateway holds it")
        return fresh

    # ---- checkpoints and certificates ------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        self._work.checkpoint(self._twin.position(), self._range.to_json())
        self._checkpoint_seq = self._twin.seq

    def certify(self, result: PassResult) -> str:
        """A certificate of what was verified since the last one; why there is none (in words) otherwise goes to facts.

        Returns:
            The certificate's text, empty if the state is not clean or nothing is new.
        """
        if self._looked_seq != self._twin.seq:
            again = self._look_again(everything=False, blocks=self.setup.audit_blocks)
            self.case.found(again, looked_ns=time.time_ns())
        why = self._why_no_certificate(result)
        self.case.write_facts({"no_certificate": why})
        if why:
            return ""
        body = {
            "cluster": self.setup.cluster,
            "cluster_uuid": self._panel.cluster_uuid(),
            "issued_ns": time.time_ns(),
            **self._range.figures(),
            **state_figures(self._twin.engine.state_digest(), self._ledger.amounts),
            "compared": self._compared(),
            "breaks": {
                "open": 0,
                "explained": sum(self.case.counts(BreakState.EXPLAINED).values()),
                "resolved": sum(self.case.counts(BreakState.RESOLVED).values()),
            },
        }
        text = sign(body, self._key)
        from_seq, to_seq = self._range.after_seq + 1, self._range.seq
        directory = self.setup.data_dir / "certificates"
        directory.mkdir(exist_ok=True)
        put_whole(directory / f"{from_seq:012}-{to_seq:012}.json", text)
        self.case.add_certificate(from_seq, to_seq, text)
        self._range = RangeFigures.after(self._twin.position())
        self._checkpoint()
        return text

    def _why_no_certificate(self, result: PassResult) -> str:
        counts = self.case.counts(BreakState.OPEN)
        broken = ", ".join(f"{number} of {rule}" for rule, number in counts.items() if number)
        if broken:
            return f"breaks are open: {broken}"
        if not result.caught_up:
            return result.halted or "not everything that is committed was verified yet"
        if not self._range.batches:
            return "nothing new was committed since the last one"
        if not any(peer.usable and peer.checked_seq == self._twin.seq for peer in self._panel.peers):
            return "no replica was compared up to the end"
        return ""

    def _compared(self) -> dict[str, Any]:
        return {
            "replicas": [p.name for p in self._panel.peers if p.usable and p.checked_seq == self._twin.seq],
            "gateways": [reader.name for reader in self._intakes.readers()],
            "client_logs": len(self._clients),
            "downstream_seq": self._downstream.seq,
        }

    def _write_facts(self, result: PassResult) -> None:
        self.case.write_facts(
            {
                "cluster": self.setup.cluster,
                "verified_seq": result.verified_seq,
                "committed_seq": result.target_seq,
                "verified_through_ns": result.through_ns,
                "checkpoint_seq": self._checkpoint_seq,
                "halted": result.halted,
                "last_pass_seconds": round(result.seconds, 4),
                "last_pass_ns": time.time_ns(),
                "compared": self._compared(),
                "away": {p.name: p.away for p in self._panel.peers if p.away} | self._intakes.away,
                "diverged": {p.name: p.diverged_seq for p in self._panel.peers if p.diverged_seq},
                "client_log_faults": self._clients.faults,
                "client_logs_incomplete": self._clients.incomplete,
            }
        )

    def close(self) -> None:
        """Checkpoint, and close everything."""
        if not self._halted and self._twin.seq > self._checkpoint_seq:
            self._checkpoint()
        self._work.close()
        self._downstream.close()
        self._intakes.close()
        for peer in self._panel.peers:
            peer.source.close()


def open_sources(paths: Iterable[Path], opener: Callable[[Path], Any]) -> tuple[Any, ...]:
    """Open several journals; those opened before one that can't be are closed again."""
    opened: list[Any] = []
    try:
        for path in paths:
            opened.append(opener(path))
    except BaseException:
        for source in opened:
            source.close()
        raise
    return tuple(opened)
