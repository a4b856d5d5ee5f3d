"""All replicas' accounts of the history against each other and against the reconciler's own execution.

A chunk of batches is agreed on before it is executed: replicas whose bytes differ are distinguished by the digests that
they stored when they executed them, so the one that was changed afterwards is the one that is blamed. A replica that
was away is compared from where it was left; the first difference is found by bisecting the digest chains.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lockstep.reconciler.checks import first_different_record
from lockstep.reconciler.rules import Break, Rule
from lockstep.reconciler.sources import ReplicaSource, SourceAway, SourceCut, SourceDamaged, Tip, decode
from lockstep.reconciler.twin import Executed, StreamBroken, Twin, first_difference
from lockstep.stream.batch import HEADER_SIZE, Batch
from lockstep.stream.digest import Digest

_LAGGARD_CHUNKS: Final = 16


@dataclass(slots=True)
class Peer:
    """One replica and how far it was compared."""

    source: ReplicaSource
    checked_seq: int = 0
    tip: Tip | None = None
    """None: it does not answer."""
    away: str = ""
    diverged_seq: int = 0
    """From this seq on it differs and is not asked any more; 0: it does not."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.source.name

    @property
    def usable(self) -> bool:
        """Whether it answers, is in sync and does not differ."""
        return self.tip is not None and self.tip.in_sync and not self.diverged_seq

    def begins_at_first(self) -> bool:
        """Whether its journal reaches back to the first command. Raises SourceAway or SourceDamaged."""
        try:
            raw = self.source.raw_batches(1, 2**63)
        except SourceCut:
            return False
        return not raw or decode(self.name, raw[0]).first_seq == 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """Batches that follow on the execution's position, with the replicas that hold them in these very bytes."""

    batches: tuple[Batch, ...]
    peers: tuple[Peer, ...]


@dataclass(slots=True)
class Panel:
    """The replicas of one cluster."""

    peers: list[Peer]
    breaks: list[Break] = field(default_factory=list)
    """Found since the owner last took them."""
    cut: str = ""
    """Which journal does not hold what was asked for last, in words; empty if all do."""
    _executed: dict[str, Digest | None] = field(default_factory=dict)
    """By batch on which replicas differ: what the own execution leads to."""

    def take_breaks(self) -> list[Break]:
        """What was found since the last call."""
        taken, self.breaks = self.breaks, []
        return taken

    def refresh(self) -> None:
        """Ask every replica how far it is."""
        self.cut = ""
        for peer in self.peers:
            peer.tip, peer.away = None, ""
            try:
                peer.tip = peer.source.tip()
            except SourceAway as error:
                peer.away = str(error)
            except SourceDamaged as error:
                self._damaged(peer, error)

    def target(self) -> int:
        """Through which seq the history is committed: what a replica knows, or what journals at rest all hold."""
        tips = [peer.tip for peer in self.peers if peer.usable and peer.tip is not None]
        if not tips:
            return 0
        committed = max(tip.committed_seq for tip in tips)
        if len(tips) > 1 and not any(peer.source.live for peer in self.peers):
            committed = max(committed, min(tip.applied_seq for tip in tips))
        return min(committed, max(tip.applied_seq for tip in tips))

    def cluster_uuid(self) -> str:
        """Identity of the cluster, empty if nobody knows it."""
        return next((peer.tip.uuid for peer in self.peers if peer.tip is not None and peer.tip.uuid), "")

    def ready(self, seq: int) -> list[Peer]:
        """Usable replicas that hold a seq; those compared furthest first."""
        able = [p for p in self.peers if p.usable and p.tip is not None and p.tip.applied_seq >= seq]
        return sorted(able, key=lambda peer: -peer.checked_seq)

    # ---- what to execute -------------------------------------------------------------------------------------------

    def next_chunk(self, twin: Twin, to_seq: int) -> Chunk | None:
        """The batches after the twin's position, as far as all ready replicas agree on them; None if there are none."""
        from_seq = twin.seq + 1
        held: list[tuple[Peer, list[bytes]]] = []
        for peer in self.ready(from_seq):
            if held and peer.checked_seq != twin.seq:
                continue
            raw = self._read(peer, from_seq, to_seq)
            if raw:
                held.append((peer, raw))
        if not held:
            return None
        common = min(len(raw) for _, raw in held)
        lead = held[0][1]
        for place in range(common):
            if any(raw[place] != lead[place] for _, raw in held):
                if place == 0:
                    return self._tell_apart(twin, [(peer, raw[0]) for peer, raw in held])
                common = place
                break
        batches = tuple(decode(held[0][0].name, raw) for raw in lead[:common])
        return Chunk(batches, tuple(peer for peer, _ in held))

    def _read(self, peer: Peer, from_seq: int, to_seq: int) -> list[bytes]:
        try:
            raw = peer.source.raw_batches(from_seq, to_seq)
            if raw and decode(peer.name, raw[0]).first_seq != from_seq:
                # It may have been cut while it was read; then it says so now.
                raw = peer.source.raw_batches(from_seq, to_seq)
            if raw:
                first = decode(peer.name, raw[0])
                if first.first_seq != from_seq:
                    raise SourceDamaged(
                        f"journal of {peer.name} has no batch that starts at seq {from_seq}: after it comes one of "
                        f"{first.first_seq}..{first.last_seq}"
                    )
        except SourceCut as error:
            self.cut = peer.away = str(error)
            return []
        except SourceAway as error:
            peer.tip, peer.away = None, str(error)
            return []
        except SourceDamaged as error:
            self._damaged(peer, error)
            return []
        return raw

    def _damaged(self, peer: Peer, error: SourceDamaged) -> None:
        peer.tip, peer.away = None, str(error)
        subject = f"{peer.name} after seq {peer.checked_seq}"
        self.breaks.append(Break(Rule.JOURNAL_DAMAGED, subject, str(error), peer.checked_seq + 1))

    def _tell_apart(self, twin: Twin, held: Sequence[tuple[Peer, bytes]]) -> Chunk:
        versions: dict[bytes, list[Peer]] = {}
        for peer, raw in held:
            versions.setdefault(raw, []).append(peer)
        ranked = sorted(versions.items(), key=lambda item: (_confirmed(twin, *item), len(item[1])), reverse=True)
        right, believed = ranked[0]
        for raw, peers in ranked[1:]:
            for peer in peers:
                self._blame(peer, believed[0].name, right, raw, stored=_confirmed(twin, right, believed))
        return Chunk((decode(believed[0].name, right),), tuple(believed))

    def _blame(self, peer: Peer, other: str, right: bytes, wrong: bytes, *, stored: bool) -> None:
        offset = first_different_record(right[HEADER_SIZE:], wrong[HEADER_SIZE:])
        seq = decode(other, right).first_seq + offset
        peer.diverged_seq = seq
        why = "whose digest of then fits its commands" if stored else "which more replicas, or the first one, hold"
        text = f"the first command that differs from {other}, {why}, is seq {seq}"
        self.breaks.append(Break(Rule.JOURNALS_DIFFER, f"{peer.name} seq {seq}", text, seq))

    # ---- what was executed -----------------------------------------------------------------------------------------

    def judge(self, chunk: Chunk, done: Sequence[Executed]) -> bool:
        """Compare the replicas' digests and events with what the twin computed; whether to go on.

        False: no replica confirms what the twin computed from these commands, so what follows can't be believed.
        """
        confirmed = unconfirmed = 0
        for peer in chunk.peers:
            wrong = self._first_wrong_digest(peer, done)
            if wrong is None:
                continue
            if wrong < len(done):
                unconfirmed += 1
                self._wrong_digest(peer, done[wrong], alone=len(chunk.peers) == 1)
                continue
            confirmed += 1
        for peer in chunk.peers:
            if peer.usable:
                self._compare_events(peer, done)
        if unconfirmed and not confirmed:
            return False
        for peer in chunk.peers:
            if peer.usable:
                peer.checked_seq = done[-1].batch.last_seq
        return True

    def _first_wrong_digest(self, peer: Peer, done: Sequence[Executed]) -> int | None:
        """Position of the first batch whose stored digest is another; their number if none is, None if unknown."""

        def equal_at(place: int) -> bool:
            stored = peer.source.digest_at(done[place].batch.last_seq)
            return stored is None or stored == done[place].digest

        try:
            stored = peer.source.digest_at(done[-1].batch.last_seq)
            if stored is None:
                return None
            if stored == done[-1].digest:
                return len(done)
            return first_difference(-1, len(done) - 1, equal_at)
        except (SourceAway, SourceDamaged) as error:
            peer.tip, peer.away = None, str(error)
            return None

    def _wrong_digest(self, peer: Peer, done: Executed, *, alone: bool) -> None:
        batch = done.batch
        place = f"seq {batch.first_seq}..{batch.last_seq}"
        peer.diverged_seq = batch.first_seq
        if alone:
            text = "its commands lead to another digest than was stored when they were executed"
            rule, subject = Rule.JOURNALS_DIFFER, f"{peer.name} seq {batch.first_seq}"
        else:
            text = "it stored another digest than its commands, which the other replicas hold too, lead to"
            rule, subject = Rule.RESULTS_DIFFER, f"{peer.name} seq {batch.first_seq}"
        self.breaks.append(Break(rule, subject, f"{place}: {text}", batch.first_seq))

    def _compare_events(self, peer: Peer, done: Sequence[Executed]) -> None:
        first, last = done[0].batch.first_seq, done[-1].batch.last_seq
        try:
            theirs = peer.source.events(first, last)
        except (SourceAway, SourceDamaged) as error:
            peer.away = str(error)
            return
        if theirs is None:
            return
        ours = np.frombuffer(b"".join(each.events.tobytes() for each in done), dtype=theirs.dtype)
        if theirs.tobytes() == ours.tobytes():
            return
        level = min(len(ours), len(theirs))
        differing = np.flatnonzero(ours[:level] != theirs[:level])
        place = int(differing[0]) if len(differing) else level
        row = ours[place] if place < len(ours) else theirs[place]
        subject = f"{peer.name} event {row['seq']}.{row['index']}"
        text = "the event that it gives is not the one that the commands lead to"
        self.breaks.append(Break(Rule.RESULTS_DIFFER, subject, text, int(row["seq"])))

    # ---- those who were away, and what is not committed yet --------------------------------------------------------

    def follow_up(self, through_seq: int) -> None:
        """Compare replicas that were away with one that was not, up to a seq at which a batch ends."""
        lead = next((peer for peer in self.ready(through_seq) if peer.checked_seq == through_seq), None)
        for peer in self.ready(through_seq):
            if lead is None or peer is lead or peer.checked_seq >= through_seq:
                continue
            try:
                self._follow(peer, lead, through_seq)
            except SourceCut as error:
                peer.away = str(error)
            except SourceAway as error:
                peer.tip, peer.away = None, str(error)
            except SourceDamaged as error:
                self._damaged(peer, error)

    def _follow(self, peer: Peer, lead: Peer, through_seq: int) -> None:
        mine, right = peer.source.digest_at(through_seq), lead.source.digest_at(through_seq)
        base = min(max(_base_seq(peer), _base_seq(lead)), through_seq)
        if peer.checked_seq < base:
            # What one of them had is gone. The chain, which goes on from it, shows whether it was the same.
            if mine is None or right is None:
                raise SourceCut(f"{peer.name}: what it held up to seq {base} was cut, and it stored no digests since")
            if mine != right and peer.source.digest_at(base) != lead.source.digest_at(base):
                peer.diverged_seq = peer.checked_seq + 1
                text = (
                    f"its chain of digests is another than that of {lead.name} from before seq {base} on, which was cut"
                )
                subject = f"{peer.name} seq {peer.diverged_seq}"
                self.breaks.append(Break(Rule.JOURNALS_DIFFER, subject, text, peer.diverged_seq))
                return
            peer.checked_seq = base
        if mine is not None and right is not None and mine != right:
            verified, other = self._first_divergence(peer, lead, peer.checked_seq, through_seq)
            if verified and verified == other:
                batch = decode(lead.name, verified)
                peer.diverged_seq = batch.first_seq
                self._results_differ(peer, lead.name, batch, own=True)
            elif verified and other:
                self._blame(peer, lead.name, verified, other, stored=True)
            return
        for _ in range(_LAGGARD_CHUNKS):
            from_seq = peer.checked_seq + 1
            if from_seq > through_seq:
                return
            theirs = peer.source.raw_batches(from_seq, through_seq)
            ours = lead.source.raw_batches(from_seq, through_seq)
            common = min(len(theirs), len(ours))
            if not common:
                return
            for left, other in zip(ours[:common], theirs[:common], strict=True):
                if left != other:
                    self._blame(peer, lead.name, left, other, stored=True)
                    return
            peer.checked_seq = decode(peer.name, theirs[common - 1]).last_seq

    def compare_uncommitted(self, twin: Twin) -> None:
        """Find replicas whose results differ at commands that are not committed, or not by them, for that very reason.

        Such a replica says that it is not in sync. One that is not for another reason may hold other commands, the tail
        of a leader that lost its office: that is no break, and the replica discards it by itself.
        """
        answering = [peer for peer in self.peers if peer.source.live and peer.tip is not None and not peer.diverged_seq]
        answering.sort(key=lambda peer: (not peer.usable, -peer.checked_seq))
        for peer in answering[1:]:
            lead = answering[0]
            assert lead.tip is not None
            assert peer.tip is not None
            level = min(lead.tip.applied_seq, peer.tip.applied_seq)
            if level <= min(peer.checked_seq, lead.checked_seq):
                continue
            try:
                mine, right = peer.source.digest_at(level), lead.source.digest_at(level)
                if mine is not None and right is not None and mine != right:
                    self._apart_unreleased(twin, peer, lead, level)
            except (SourceAway, SourceDamaged) as error:
                peer.away = str(error)

    def _apart_unreleased(self, twin: Twin, peer: Peer, lead: Peer, level: int) -> None:
        low = min(peer.checked_seq, lead.checked_seq)
        ours, theirs = self._first_divergence(peer, lead, low, level)
        if ours != theirs or not ours:
            return
        batch = decode(lead.name, ours)
        key = f"{batch.epoch}.{batch.first_seq}"
        if key not in self._executed:
            self._executed[key] = _digest_ahead(twin, lead, batch)
        for one, other in ((peer, lead), (lead, peer)):
            own = self._executed[key]
            if own is not None and one.source.digest_at(batch.last_seq) == own:
                continue
            if own is None and one is lead:
                continue
            self._results_differ(one, other.name, batch, own=own is not None)

    def _results_differ(self, peer: Peer, other: str, batch: Batch, *, own: bool) -> None:
        place = f"seq {batch.first_seq}..{batch.last_seq}"
        text = f"{place}: of the same commands it stored another digest than {other}"
        text += ", and than the own execution leads to" if own else ""
        if peer.tip is not None and not peer.tip.in_sync:
            text += "; it is not in sync and releases nothing"
        subject = f"{peer.name} seq {batch.first_seq}"
        self.breaks.append(Break(Rule.RESULTS_DIFFER, subject, text, batch.first_seq))

    def _first_divergence(self, peer: Peer, lead: Peer, low: int, high: int) -> tuple[bytes, bytes]:
        """The first batches, the lead's and the peer's, after which the digests differ; empty where it has none."""

        def equal_at(seq: int) -> bool:
            found = lead.source.raw_batches(seq, 2**63)
            end = decode(lead.name, found[0]).last_seq
            return peer.source.digest_at(end) == lead.source.digest_at(end)

        seq = first_difference(low, high, equal_at)
        ours, theirs = lead.source.raw_batches(seq, 2**63), peer.source.raw_batches(seq, 2**63)
        return ours[0] if ours else b"", theirs[0] if theirs else b""


def _base_seq(peer: Peer) -> int:
    return peer.tip.first_seq - 1 if peer.tip is not None else 0


def _digest_ahead(twin: Twin, lead: Peer, batch: Batch) -> Digest | None:
    """The digest after a batch that may lie ahead of the twin, executed on a copy; None if it lies behind."""
    if batch.first_seq <= twin.seq:
        return None
    ahead = twin.copy()
    while ahead.seq < batch.last_seq:
        for raw in lead.source.raw_batches(ahead.seq + 1, batch.last_seq):
            try:
                ahead.execute(decode(lead.name, raw))
            except StreamBroken:
                return None
    return ahead.digest


def _confirmed(twin: Twin, raw: bytes, peers: Iterable[Peer]) -> bool:
    """Whether a batch leads to the digest that one of those who hold it stored."""
    for peer in peers:
        batch = decode(peer.name, raw)
        try:
            if peer.source.digest_at(batch.last_seq) == twin.digest_after(batch):
                return True
        except (StreamBroken, SourceAway, SourceDamaged):
            continue
    return False
