"""What one step of a session has decided so far, and how its messages are written. Pure."""

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import Fault
from lockstep.edge.fix.tags import REASONS, REVERSED_ROUTE
from lockstep.edge.fix.times import timestamp
from lockstep.edge.fix.values import Claim, Effects, Fetch, Numbers, Profile
from lockstep.edge.fix.wire import Field, Message, encode


class Outbox:
    """Collects effects of one step."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._begin = profile.dictionary.begin
        self._clear()

    def _clear(self) -> None:
        self.data: list[bytes] = []
        self.numbered: list[tuple[int, int]] = []
        self.deliver: list[Message] = []
        self.why: list[str] = []
        self.claim: Claim | None = None
        self.fetch: Fetch | None = None
        self.opened = self.close = False

    def taken(self, numbers: Numbers | None) -> Effects:
        """All that was collected; the next step starts with nothing."""
        effects = Effects(
            numbers,
            tuple(self.numbered),
            b"".join(self.data),
            self.claim,
            self.opened,
            tuple(self.deliver),
            self.fetch,
            self.close,
            tuple(self.why),
        )
        self._clear()
        return effects

    def say(
        self, kind: bytes, fields: tuple[Field, ...], peer: bytes, number: int, now_ns: int, first_ns: int | None = None
    ) -> None:
        """Write a message. `first_ns`: when a repeated one was sent first."""
        header: list[Field] = [(tags.MSG_SEQ_NUM, b"%d" % number)]
        if first_ns is not None:
            header.append((tags.POSS_DUP_FLAG, b"Y"))
        header += (
            (tags.SENDER_COMP_ID, self._profile.comp_id),
            (tags.SENDING_TIME, timestamp(now_ns)),
            (tags.TARGET_COMP_ID, peer),
        )
        if first_ns is not None:
            header.append((tags.ORIG_SENDING_TIME, timestamp(first_ns)))
        self.data.append(encode(self._begin, kind, (*header, *fields)))

    def reject_fields(self, message: Message, fault: Fault, seq: int) -> tuple[Field, ...]:
        """Of a Reject (3), sent back the way the message came."""
        fields: list[Field] = [
            (tag, value) for tag, source in REVERSED_ROUTE if (value := message.value(source)) and _is_route(value)
        ]
        fields.sort()
        fields += ((tags.REF_SEQ_NUM, b"%d" % seq), (tags.TEXT, REASONS[fault.reason]))
        if fault.tag is not None:
            fields.append((tags.REF_TAG_ID, b"%d" % fault.tag))
        if message.kind:
            fields.append((tags.REF_MSG_TYPE, message.kind))
        fields.append((tags.SESSION_REJECT_REASON, b"%d" % fault.reason))
        return tuple(fields)


def _is_route(value: bytes) -> bool:
    return min(value) >= 0x20
