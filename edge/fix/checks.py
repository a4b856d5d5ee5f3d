"""What is looked at in each message that comes, whatever its type. Pure."""

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import Fault
from lockstep.edge.fix.tags import RejectReason
from lockstep.edge.fix.times import timestamp_ns
from lockstep.edge.fix.values import Profile
from lockstep.edge.fix.wire import Message


def fault_of_sender(message: Message, profile: Profile, peer: bytes, now_ns: int) -> Fault | None:
    """Whether it comes from the other side of this session, and now. What is missing is left to the dictionary."""
    for tag, name in ((tags.SENDER_COMP_ID, peer), (tags.TARGET_COMP_ID, profile.comp_id)):
        if message.value(tag) not in (None, b"", name):
            return Fault(RejectReason.COMP_ID)
    sent_ns = timestamp_ns(message.value(tags.SENDING_TIME) or b"")
    if sent_ns is not None and abs(sent_ns - now_ns) > profile.window_ns:
        return Fault(RejectReason.SENDING_TIME)
    return None


def fault_of_original(message: Message) -> Fault | None:
    """What is wrong with a message that is marked as repeated."""
    original = message.value(tags.ORIG_SENDING_TIME)
    if original is None:
        return Fault(RejectReason.REQUIRED_TAG_MISSING, tags.ORIG_SENDING_TIME)
    original_ns, sent_ns = timestamp_ns(original), timestamp_ns(message.value(tags.SENDING_TIME) or b"")
    if original_ns is not None and sent_ns is not None and original_ns > sent_ns:
        return Fault(RejectReason.SENDING_TIME)
    return None


def is_repeated(message: Message) -> bool:
    """Whether it is marked as sent before."""
    return message.value(tags.POSS_DUP_FLAG) == b"Y"


def text_of(message: Message) -> str:
    """Its Text (58), for a log: printable, and short."""
    return ascii((message.value(tags.TEXT) or b"")[:256].decode("latin-1"))[1:-1]


def text_field(text: str) -> tuple[tuple[int, bytes], ...]:
    """A Text (58); nothing for an empty one."""
    value = text.encode("ascii", "replace").replace(b"\x01", b"?")
    return ((tags.TEXT, value),) if value else ()
