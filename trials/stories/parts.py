"""The parts of a story's cluster: as in the simulation, but that they write down what is sent and decided.

Where a seed of the simulation would be found guilty (an engine stops for good, a session fails, a sequencer is
halted), a story goes on: it may be about just that.
"""

from lockstep.replica.effects import FenceAnswer, JournalWrite, Notice
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.session_events import Failure
from lockstep.stream.messages import Ack, Message, Receipt, Release, Stream, Submit
from lockstep.stream.records import CommandKind
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.engine_storage import StoringHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.judge import Judge
from lockstep.trials.simulation.kernel import Kernel
from lockstep.trials.simulation.network import Network
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.world import World
from lockstep.trials.stories import wording
from lockstep.trials.stories.narrator import Narrator


class StoryNetwork(Network):
    """Writes down what is sent, as far as it is news."""

    narrator: Narrator

    def __init__(self, kernel: Kernel, *, encode: bool) -> None:
        super().__init__(kernel, encode=encode)
        self.calm = True
        self._streamed: set[tuple[str, int, int]] = set()
        self._acked: dict[str, tuple[int, int, bool]] = {}
        self._open: dict[tuple[str, str], int] = {}
        self._digests: dict[int, bytes] = {}  # by seq: the first that was acked

    def send(self, source: Host, targets: list[Host], frame: Message) -> None:
        """See `Network`."""
        text = self._in_words(source, targets, frame)
        if text:
            self.narrator.tell(source.kind, str(source.id), text)
        super().send(source, targets, frame)

    def _in_words(self, source: Host, targets: list[Host], frame: Message) -> str:
        match frame:
            case Stream() if frame.batch.count:
                return self._stream(source, targets, frame)
            case Ack() if targets[0].kind == "sequencer" and frame.rewinds:
                return f"asks sequencer {targets[0].id} for what follows seq {frame.acked_seq}"
            case Ack() if frame.count:
                return self._ack(source, frame)
            case Release() if frame.count:
                return f"releases the events of seq {wording.numbers(frame.first_seq, frame.last_seq)}"
            case Submit():
                numbers = wording.numbers(frame.first_link_no, frame.first_link_no + frame.count - 1)
                what = f"{wording.commands(frame.records)}, link number {numbers}"
                return f"submits to sequencer {targets[0].id}: {what}"
            case Receipt():
                return self._receipt(source, targets[0], frame)
            case _:
                return ""

    def _stream(self, source: Host, targets: list[Host], frame: Stream) -> str:
        batch, leader_epoch = frame.batch, frame.leader_epoch
        seqs = wording.numbers(batch.first_seq, batch.last_seq)
        if batch.records["kind"][0] == CommandKind.EPOCH_START:
            # What was there in an earlier epoch was another record.
            self._digests = {seq: digest for seq, digest in self._digests.items() if seq < batch.first_seq}
        key = (source.name, batch.first_seq, leader_epoch)
        again = key in self._streamed
        self._streamed.add(key)
        if again:
            return f"sends seq {seqs} again, to engine {wording.listed(host.id for host in targets)}"
        if batch.epoch < leader_epoch:
            return f"sends seq {seqs} of epoch {batch.epoch} again, as it was stamped: not every log has it"
        return f"stamps seq {seqs}: {wording.stamped(batch)}"

    def _ack(self, source: Host, ack: Ack) -> str:
        last = int(ack.entries["last_seq"][-1])
        key = (ack.epoch, last, ack.unjoined)
        if self._acked.get(source.name) == key:
            return ""
        self._acked[source.name] = key
        digest = wording.digest_of(ack)
        odd = digest != self._digests.setdefault(last, digest)
        text = f"acks seq {last} under epoch {ack.epoch}{', with ANOTHER digest' if odd else ''}"
        return f"{text}; a journal that counts for nothing yet" if ack.unjoined else text

    def _receipt(self, source: Host, target: Host, receipt: Receipt) -> str:
        if receipt.rewinds:
            return f"asks {target.name} for everything from link number {receipt.next_link_no} on again"
        reign = receipt.reign if receipt.opens else 0
        before = self._open.get((source.name, target.name), 0)
        self._open[source.name, target.name] = reign
        if reign == before:
            return ""
        return f"tells gateways that it is open, reign {reign}" if reign else "tells gateways that it is closed"


class StoryJudge(Judge):
    """Judges as ever, and writes down what the processes decide before its eyes."""

    narrator: Narrator

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.may_lose = True
        self._answered: dict[int, str] = {}

    def _tell(self, engine: int, text: str) -> None:
        self.narrator.tell("engine", str(engine), text)

    def on_config(self, before: ConfigRecord | None, record: ConfigRecord) -> None:
        """See `Judge`."""
        self.narrator.tell("etcd", "", wording.config(before, record))
        super().on_config(before, record)

    def on_fence_answer(self, engine: int, answer: FenceAnswer) -> None:
        """See `Judge`."""
        if not answer.accepted:
            text = f"refuses the fence: it has promised epoch {answer.promised}"
        elif answer.blank:
            text = f"promises epoch {answer.promised}; its journal is blank"
        else:
            where = f"ends at seq {answer.tip_seq} of epoch {answer.tip_epoch}"
            text = f"promises epoch {answer.promised}; its log {where}, committed {answer.committed_seq}"
        if self._answered.get(engine) != text:
            self._answered[engine] = text
            self._tell(engine, text)
        super().on_fence_answer(engine, answer)

    def on_journaled(self, host: StoringHost, write: JournalWrite) -> None:
        """See `Judge`."""
        if write.joined:
            self._tell(host.id, "notes in its journal that the cluster counts on it")
        super().on_journaled(host, write)


class StorySequencer(SequencerHost):
    """May be halted."""

    def note(self, note: ev.Note) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}: {note.what} {dict(note.fields)}")

    def answer(self, answer: ev.OperatorAnswer) -> None:
        """See `Ports`."""
        what = f"refuses: {answer.refused}" if answer.refused else f"done, in epoch {answer.epoch}"
        self.kernel.note(f"{self.name}: to the operator: {what}")


class StoryEngine(EngineHost):
    """May stop for good."""

    def notice(self, notice: Notice) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}: {notice.event}: {notice.detail}")


class StoryClient(ClientHost):
    """Its session may fail."""

    def on_failed(self, failure: Failure) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}'s session has FAILED: {failure.text}")
