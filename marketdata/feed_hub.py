"""Who follows what, and what each is to be sent now. Pure.

A reader is *ready* while whoever writes to it takes more. For one that is not, nothing waits but the seq at which each
of its streams stands: from there it is caught up with the latest values when it is ready again. Only of streams that
report every command up to `MAX_WAITING_BYTES` wait as they are. One that is not ready for too long is closed, with the
reason. Each turn begins with another reader, so that nobody is served first for ever.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockstep.marketdata.feed_encoding import encode_heartbeat, encode_recovery
from lockstep.marketdata.feed_line import CONTENT, FeedLine, span_of
from lockstep.marketdata.feed_sources import BOOK_FEEDS, INSTRUMENTS, STATUS, STATUS_FEEDS, TRADE_FEEDS, source_of
from lockstep.marketdata.feed_streams import NOTHING_YET, Snapshots, Stream
from lockstep.marketdata.feed_subscriptions import INTERVALS_MS, FeedRefused, Wanted
from lockstep.marketdata.market_fold import Changes, MarketFold
from lockstep.marketdata.market_status import MARKET
from lockstep.marketdata.order_books import OrderBook
from lockstep.stream.codes import Code
from lockstep.stream.records import Events

MAX_READERS: Final = 10_000
MAX_STREAMS: Final = 16_384
"""Of one reader."""
MAX_WAITING_BYTES: Final = 64 << 10
RECOVER_NS: Final = 2_000_000_000
"""So long a reader that has been further waits for this feed to come there; then it begins anew."""
SLOW_NS: Final = 10_000_000_000
HEARTBEAT_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
_STRIDE: Final = 7_919
"""A prime: the turns' first readers are spread over all of them."""

StreamKey = tuple[int, int, int, int]


class Reader:
    """One connection. Invariant: no stream is in `owed` and in `ahead`; those in neither are at `published`."""

    __slots__ = ("ahead", "bytes", "number", "open_feeds", "owed", "parts", "ready", "recovering", "streams",
                 "waits_since_ns")  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.streams: dict[tuple[int, int], ReaderStream] = {}
        """By instrument and feed."""
        self.open_feeds: list[Wanted] = []
        """Of all instruments, those that are defined later too."""
        self.owed: OrderedDict[ReaderStream, int] = OrderedDict()
        """To be caught up, with the seq from which on."""
        self.ahead: dict[ReaderStream, int] = {}
        """Of a later seq than what was published; nothing is reported until that is passed."""
        self.recovering: dict[ReaderStream, int] = {}
        """Those that it asked to have continued, with the epoch of what it has."""
        self.parts: list[bytes] = []
        self.bytes = 0
        self.ready = True
        self.waits_since_ns = 0

    def put(self, part: bytes) -> None:
        """For its next frame."""
        self.parts.append(part)
        self.bytes += len(part)


ReaderStream = Stream[Reader]


@dataclass(slots=True)
class Counts:
    """What a hub has done so far."""

    updates: int = 0
    """Made."""
    deliveries: int = 0
    """Handed to readers."""
    catch_ups: int = 0
    slow: int = 0
    """Readers closed because they took nothing."""
    recovered: int = 0
    not_recovered: int = 0
    frames: int = 0
    frame_bytes: int = 0


@dataclass(slots=True)
class _Due:
    """Of one interval: streams whose source has changed, and when they are reported."""

    at_ns: int = 0
    streams: dict[ReaderStream, None] = field(default_factory=dict)


class FeedHub:
    """All readers of one feed."""

    def __init__(self, fold: MarketFold) -> None:
        self.fold = fold
        self.epoch = 0
        """Under which everything is reported."""
        self.snapshots = Snapshots()
        self.counts = Counts()
        self.readers: dict[int, Reader] = {}
        self._streams: dict[StreamKey, ReaderStream] = {}
        # By instrument and feed.
        self._streams_of: dict[tuple[int, int], dict[ReaderStream, None]] = {}
        self._due = {interval_ms: _Due() for interval_ms in INTERVALS_MS if interval_ms}
        self._immediate = 0
        self._pending: dict[Reader, None] = {}
        # Readers that may have something that is still to come here.
        self._early: dict[Reader, int] = {}
        """Readers that come from a feed that is further -> until when they wait for this one; 0: not begun."""
        self._turn = 0
        self._heartbeat_ns = 0
        self.line: FeedLine | None = None
        """What is sent as datagrams, if anything is."""

    @property
    def streams(self) -> int:
        """How many are reported."""
        return len(self._streams)

    # ---- the line ------------------------------------------------------------------------------------------------

    def open_line(self) -> None:
        """Begin to report every command to a line."""
        self.line = FeedLine(self.fold.seq)
        for instrument in self.fold.instruments():
            self._put_on_line(instrument)

    def _put_on_line(self, instrument: int) -> None:
        for feed in CONTENT:
            self._stream((instrument, feed, 0, 0)).on_line = True

    def _announce_on_line(self, line: FeedLine, instrument: int) -> None:
        """An instrument is new: its definition says that its book and its tape are empty."""
        self._put_on_line(instrument)
        source = self._stream((instrument, INSTRUMENTS, 0, 0)).source
        line.put(source.changed(), self.snapshots.of(source, self.epoch, self.fold.timestamp_ns))

    def line_snapshots(self) -> list[bytes]:
        """Each stream of the line as it is now, and, last, where the line goes on."""
        assert self.line is not None, "asked for by nobody who was admitted"
        found = [
            self.snapshots.of(stream.source, self.epoch, self.fold.timestamp_ns)
            for stream in self._streams.values()
            if stream.on_line
        ]
        return [*found, span_of(self.epoch, 0, self.line.seq)]

    # ---- readers -------------------------------------------------------------------------------------------------

    def enter(self, number: int) -> None:
        """A connection begins. Raises FeedRefused: there are too many."""
        if len(self.readers) >= MAX_READERS:
            raise FeedRefused(Code.BUSY, f"{MAX_READERS} readers are connected; come again, or to another feed", 1000)
        self.readers[number] = Reader(number)

    def leave(self, number: int) -> None:
        """A connection has ended."""
        reader = self.readers.pop(number, None)
        if reader is not None:
            for stream in list(reader.streams.values()):
                self._drop(reader, stream)
            self._pending.pop(reader, None)
            self._early.pop(reader, None)

    def subscribe(self, number: int, wanted: Wanted) -> None:
        """Follow more. What a reader follows already of the same instrument and feed ends.

        Raises:
            FeedRefused: an instrument is unknown, or it would be too many streams.
        """
        reader = self.readers[number]
        known = self.fold.statuses.definitions
        unknown = [one for one in wanted.instruments if one not in known and not wanted.may_be_market(one)]
        if unknown:
            text = f"unknown instruments {unknown[:10]}; FEED_INSTRUMENTS has those that there are"
            raise FeedRefused(Code.UNKNOWN_INSTRUMENT, text)
        instruments = wanted.instruments or ((MARKET,) if wanted.feed == STATUS else ()) + tuple(known)
        more = sum((instrument, wanted.feed) not in reader.streams for instrument in instruments)
        if len(reader.streams) + more > MAX_STREAMS:
            raise FeedRefused(Code.BUSY, f"a connection follows {MAX_STREAMS} streams at the most; open another one")
        if not wanted.instruments:
            reader.open_feeds = [one for one in reader.open_feeds if one.feed != wanted.feed] + [wanted]
        for instrument in instruments:
            self._follow(reader, instrument, wanted)
        self._pending[reader] = None

    def unsubscribe(self, number: int, feed: int, instruments: Sequence[int]) -> None:
        """Follow less: these instruments, or all (none named)."""
        reader = self.readers[number]
        if not instruments:
            reader.open_feeds = [one for one in reader.open_feeds if one.feed != feed]
        for (instrument, of_feed), stream in list(reader.streams.items()):
            if of_feed == feed and (not instruments or instrument in instruments):
                self._drop(reader, stream)

    def put(self, number: int, part: bytes) -> None:
        """An answer to one reader, for its next frame."""
        reader = self.readers[number]
        reader.put(part)
        self._pending[reader] = None

    def _follow(self, reader: Reader, instrument: int, wanted: Wanted) -> None:
        before = reader.streams.get((instrument, wanted.feed))
        if before is not None:
            self._drop(reader, before)
        stream = self._stream((instrument, wanted.feed, wanted.parameter, wanted.interval_ms))
        stream.readers[reader] = None
        reader.streams[instrument, wanted.feed] = stream
        position = wanted.recover.get(instrument)
        if position is None:
            reader.owed[stream] = NOTHING_YET
            return
        epoch, seq = position
        reader.recovering[stream] = epoch
        if self._is_beyond(epoch, seq):
            # It comes from a feed that is further.
            reader.ahead[stream] = seq
            self._early[reader] = 0
        else:
            reader.owed[stream] = seq

    def _stream(self, key: StreamKey) -> ReaderStream:
        stream = self._streams.get(key)
        if stream is None:
            instrument, feed, parameter, interval_ms = key
            stream = self._streams[key] = Stream(key, source_of(self.fold, instrument, feed, parameter))
            self._streams_of.setdefault((instrument, feed), {})[stream] = None
            self._immediate += not interval_ms
        return stream

    def _drop(self, reader: Reader, stream: ReaderStream) -> None:
        del stream.readers[reader]
        instrument, feed, _parameter, interval_ms = stream.key
        del reader.streams[instrument, feed]
        for apart in (reader.owed, reader.ahead, reader.recovering):
            apart.pop(stream, None)
        if not (stream.readers or stream.on_line):
            del self._streams[stream.key]
            del self._streams_of[instrument, feed][stream]
            if interval_ms:
                self._due[interval_ms].streams.pop(stream, None)
            else:
                self._immediate -= 1

    # ---- what happens --------------------------------------------------------------------------------------------

    def on_events(self, events: Events, through_seq: int) -> None:
        """Committed events, each once, in order."""
        if not self._immediate and self.line is None:
            self._note(self.fold.apply(events, through_seq))
            return
        # Somebody wants to see what each command did.
        for changes in self.fold.apply_each(events, through_seq, self._on_book):
            self._note(changes)

    def _on_book(self, book: OrderBook) -> None:
        self._touch(book.instrument, BOOK_FEEDS)

    def _note(self, changes: Changes) -> None:
        for instrument in changes.new:
            self._begin(instrument)
        for book in changes.books:
            self._on_book(book)
        for instrument in dict.fromkeys([trade.instrument for trade in changes.trades]):
            self._touch(instrument, TRADE_FEEDS)
        for instrument in changes.statuses:
            self._touch(instrument, STATUS_FEEDS)

    def _begin(self, instrument: int) -> None:
        """An instrument is defined: readers of all follow it, too."""
        if self.line is not None:
            self._announce_on_line(self.line, instrument)
        for reader in self.readers.values():
            for wanted in reader.open_feeds:
                if (instrument, wanted.feed) not in reader.streams and len(reader.streams) < MAX_STREAMS:
                    self._follow(reader, instrument, wanted)
                    self._pending[reader] = None

    def _touch(self, instrument: int, feeds: Iterable[int]) -> None:
        for feed in feeds:
            for stream in self._streams_of.get((instrument, feed), ()):
                if stream.interval_ms:
                    self._due[stream.interval_ms].streams[stream] = None
                else:
                    self._publish(stream)

    def on_time(self, now_ns: int) -> None:
        """Report what is due; close who is too slow: `slow` has them."""
        for interval_ms, due in self._due.items():
            if now_ns >= due.at_ns:
                # At multiples of the interval, so that feeds on one host report at the same times.
                due.at_ns = (now_ns // (interval_ms * _MS) + 1) * interval_ms * _MS
                streams, due.streams = due.streams, {}
                for stream in streams:
                    self._publish(stream)
        for reader in list(self._early):
            self._reach(reader, now_ns)
        if now_ns - self._heartbeat_ns >= HEARTBEAT_NS:
            self._heartbeat_ns = now_ns
            beat = encode_heartbeat(self.epoch, self.fold.seq, self.fold.timestamp_ns)
            for reader in self.readers.values():
                if reader.ready:
                    reader.put(beat)
                    self._pending[reader] = None

    def _is_beyond(self, epoch: int, seq: int) -> bool:
        """This feed has not come there yet: another one may have."""
        return seq > self.fold.seq or epoch > self.epoch

    def _reach(self, reader: Reader, now_ns: int) -> None:
        """This feed has come, perhaps, to where a reader has been before; or it has waited for that long enough."""
        until_ns = self._early[reader] = self._early[reader] or now_ns + RECOVER_NS
        early = [stream for stream in reader.recovering if stream in reader.ahead]
        for stream in early:
            if now_ns >= until_ns or not self._is_beyond(reader.recovering[stream], reader.ahead[stream]):
                reader.owed[stream] = reader.ahead.pop(stream)
                self._pending[reader] = None
        if not any(stream in reader.ahead for stream in early):
            del self._early[reader]

    @property
    def due_ns(self) -> int:
        """When `on_time` has something to do next, at the latest."""
        waiting = [due.at_ns for due in self._due.values() if due.streams]
        if self.line is not None:
            waiting.append(self.line.due_ns)
        return min(waiting, default=self._heartbeat_ns + HEARTBEAT_NS)

    def slow(self, now_ns: int) -> list[int]:
        """Readers that have not been ready for too long."""
        return [
            number
            for number, reader in self.readers.items()
            if not reader.ready and now_ns - reader.waits_since_ns > SLOW_NS
        ]

    def _publish(self, stream: ReaderStream) -> None:
        before = stream.published
        part = stream.publish(self.snapshots, self.epoch, self.fold.timestamp_ns)
        if not part:
            return
        size, pending = len(part), self._pending
        self.counts.updates += 1
        if stream.on_line and self.line is not None:
            self.line.put(stream.published, part)
        for reader in stream.readers:
            if reader.owed or reader.ahead:
                if stream in reader.owed:
                    continue
                position = reader.ahead.pop(stream, None)
                if position is not None:
                    if position > stream.published:
                        reader.ahead[stream] = position
                    elif position < stream.published:
                        reader.owed[stream] = position
                        pending[reader] = None
                    continue
            if (not reader.ready and stream.interval_ms) or (reader.bytes + size > MAX_WAITING_BYTES and reader.parts):
                reader.owed[stream] = before
            else:
                reader.parts.append(part)
                reader.bytes += size
                self.counts.deliveries += 1
            pending[reader] = None

    # ---- what is sent --------------------------------------------------------------------------------------------

    def take_frames(self) -> list[tuple[int, bytes]]:
        """(Reader, frame) for all that are ready and have something to get; they count as not ready no sooner than
        `on_blocked` says so."""
        if not self._pending:
            return []
        waiting = list(self._pending)
        self._pending.clear()
        self._turn = (self._turn + _STRIDE) % len(waiting)
        frames = []
        # Readers of the same get the same frame. By identity: what is in it holds the parts alive that its key names.
        made: dict[tuple[int, ...], tuple[bytes, list[bytes]]] = {}
        for reader in (*waiting[self._turn :], *waiting[: self._turn]):
            if not reader.ready:
                continue
            if reader.owed:
                self._catch_up(reader)
                if reader.owed:
                    self._pending[reader] = None
            if reader.parts:
                parts, reader.parts, reader.bytes = reader.parts, [], 0
                key = tuple(map(id, parts))
                known = made.get(key)
                if known is None:
                    known = made[key] = (b"".join(parts), parts)
                frame = known[0]
                frames.append((reader.number, frame))
                self.counts.frames += 1
                self.counts.frame_bytes += len(frame)
        return frames

    def _catch_up(self, reader: Reader) -> None:
        """As far as there is room; a large part may go beyond that, but no other behind it."""
        while reader.owed and reader.bytes < MAX_WAITING_BYTES:
            stream, seq = reader.owed.popitem(last=False)
            epoch = reader.recovering.pop(stream, None)
            refused = "" if epoch is None else self._why_void(epoch, seq)
            part, position, whole = stream.catch_up(
                NOTHING_YET if refused else seq, self.snapshots, self.epoch, self.fold.timestamp_ns
            )
            if epoch is not None:
                self._answer(reader, stream, recovered=whole, reason=refused or _NOT_KNOWN)
            if part:
                reader.put(part)
                self.counts.catch_ups += 1
                self.counts.deliveries += 1
            if position != stream.published:
                reader.ahead[stream] = position

    def _why_void(self, epoch: int, seq: int) -> str:
        """Why a reader can't go on from there; empty if it may."""
        if self._is_beyond(epoch, seq):
            return _BEYOND
        return "" if self.fold.is_history(epoch, seq) else _OTHER_HISTORY

    def _answer(self, reader: Reader, stream: ReaderStream, *, recovered: bool, reason: str) -> None:
        instrument, feed, *_ = stream.key
        self.counts.recovered += recovered
        self.counts.not_recovered += not recovered
        reader.put(encode_recovery(instrument, feed, recovered=recovered, reason="" if recovered else reason))

    def on_blocked(self, number: int, now_ns: int) -> None:
        """It takes no more now."""
        reader = self.readers.get(number)
        if reader is not None and reader.ready:
            reader.ready = False
            reader.waits_since_ns = now_ns

    def on_ready(self, number: int) -> None:
        """It takes more again."""
        reader = self.readers.get(number)
        if reader is not None and not reader.ready:
            reader.ready = True
            self._pending[reader] = None


_BEYOND: Final = (
    "this feed has not come there in 2 s, nor heard of that epoch: nobody reported it, or a feed that is gone"
)
_OTHER_HISTORY: Final = (
    "no position of the cluster's history: that epoch ended before that seq, unless an operator had the cluster go on "
    "without what was reported there"
)
_NOT_KNOWN: Final = "this feed does not know any more, or not yet, what changed behind that seq"
