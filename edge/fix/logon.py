"""What a Logon has to say. Pure."""

from lockstep.edge.fix import tags
from lockstep.edge.fix.checks import is_repeated
from lockstep.edge.fix.formats import natural
from lockstep.edge.fix.times import timestamp_ns
from lockstep.edge.fix.values import Claim, Numbers, Profile
from lockstep.edge.fix.wire import Field, Message


def fault_of_greeting(message: Message, profile: Profile, now_ns: int) -> str:
    """Why the first message of a connection opens no session; empty if it may.

    Whoever sent it is not known yet, so the connection just ends: an answer would take a number of the session.
    """
    dictionary = profile.dictionary
    if message.begin != dictionary.begin:
        return f"BeginString (8) is {_shown(message.begin)}, not {_shown(dictionary.begin)}"
    if message.kind != tags.LOGON:
        return f"the first message is no Logon (A) but {_shown(message.kind)}"
    fault = dictionary.fault(message)
    if fault is not None:
        where = "" if fault.tag is None else f", tag {fault.tag}"
        return f"the Logon is invalid: {tags.REASONS[fault.reason].decode()}{where}"
    if message.value(tags.TARGET_COMP_ID) != profile.comp_id:
        return f"TargetCompID (56) is {_shown(message.value(tags.TARGET_COMP_ID))}, not {_shown(profile.comp_id)}"
    if profile.peer and message.value(tags.SENDER_COMP_ID) != profile.peer:
        return f"SenderCompID (49) is {_shown(message.value(tags.SENDER_COMP_ID))}, not {_shown(profile.peer)}"
    sent_ns = timestamp_ns(message.value(tags.SENDING_TIME) or b"")
    if sent_ns is None or abs(sent_ns - now_ns) > profile.window_ns:
        return f"SendingTime (52) is more than {profile.window_ns // 1_000_000_000} s off"
    if dictionary.appl_version and message.value(tags.DEFAULT_APPL_VER_ID) != dictionary.appl_version:
        return f"DefaultApplVerID (1137) is not {_shown(dictionary.appl_version)}"
    if not natural(message.value(tags.MSG_SEQ_NUM)):
        return "MsgSeqNum (34) is 0"
    if profile.schedule.period(now_ns) is None:
        return "the session does not run at this time"
    return ""


def fault_of_terms(message: Message, profile: Profile) -> str:
    """Why a Logon whose sender is known is answered by a Logout; empty if it is not."""
    if message.value(tags.ENCRYPT_METHOD) != b"0":
        return "EncryptMethod (98) must be 0: use TLS"
    if is_repeated(message):
        # It would open, or reset, what another Logon did before.
        return "PossDupFlag (43) must not be Y in a Logon: send a new one"
    version = profile.dictionary.appl_version
    if version and message.value(tags.DEFAULT_APPL_VER_ID) != version:
        return f"DefaultApplVerID (1137) must be {version.decode()}"
    if resets(message) and natural(message.value(tags.MSG_SEQ_NUM)) != 1:
        return "MsgSeqNum (34) must be 1 with ResetSeqNumFlag (141)"
    every_s = natural(message.value(tags.HEART_BT_INT))
    least, most = (profile.heartbeat_s,) * 2 if profile.initiates else profile.heartbeats_s
    if every_s is None or not least <= every_s <= most:
        wanted = f"{least}" if least == most else f"from {least} to {most}"
        return f"HeartBtInt (108) must be {wanted}"
    return ""


def fault_of_numbers(message: Message, numbers: Numbers) -> str:
    """Why the two sides' numbers do not fit together; empty if they do, or if a resend can heal it."""
    seq = natural(message.value(tags.MSG_SEQ_NUM)) or 0
    if seq < numbers.next_in:
        return f"MsgSeqNum too low, expecting {numbers.next_in} but received {seq}"
    expected = natural(message.value(tags.NEXT_EXPECTED_MSG_SEQ_NUM))
    if expected is not None and not 1 <= expected <= numbers.next_out:
        return f"NextExpectedMsgSeqNum must be from 1 to {numbers.next_out} but received {expected}"
    return ""


def resets(message: Message) -> bool:
    """Whether both sides' numbers are to start at one again."""
    return message.value(tags.RESET_SEQ_NUM_FLAG) == b"Y"


def logon_fields(
    profile: Profile, every_s: int, *, reset: bool, expected: int, credentials: tuple[Field, ...] = ()
) -> tuple[Field, ...]:
    """Of a Logon to the other side. `expected`: the number that is expected of it; 0: not said."""
    fields: list[Field] = [(tags.ENCRYPT_METHOD, b"0"), (tags.HEART_BT_INT, b"%d" % every_s)]
    if reset:
        fields.append((tags.RESET_SEQ_NUM_FLAG, b"Y"))
    if expected:
        fields.append((tags.NEXT_EXPECTED_MSG_SEQ_NUM, b"%d" % expected))
    fields += credentials
    if profile.dictionary.appl_version:
        fields.append((tags.DEFAULT_APPL_VER_ID, profile.dictionary.appl_version))
    return tuple(fields)


def in_period(numbers: Numbers, profile: Profile, now_ns: int) -> Numbers:
    """Numbers start at one again with each period of the schedule."""
    period = profile.schedule.period(now_ns)
    if period is None or numbers.since_ns >= period.begins_ns:
        return numbers
    return restarted(numbers, now_ns)


def restarted(numbers: Numbers, now_ns: int) -> Numbers:
    """Both numbers at one, in a new life."""
    return Numbers(life=numbers.life + 1, since_ns=now_ns)


def claim_of(message: Message) -> Claim:
    """Who a Logon says it comes from."""
    return Claim(
        message.begin,
        message.value(tags.SENDER_COMP_ID) or b"",
        message.value(tags.TARGET_COMP_ID) or b"",
        message.value(tags.SENDER_SUB_ID) or b"",
        message.value(tags.MSG_SEQ_NUM) or b"",
        message.value(tags.SENDING_TIME) or b"",
        message.value(tags.USERNAME) or b"",
        message.value(tags.PASSWORD) or b"",
        message.value(tags.RAW_DATA) or b"",
    )


def _shown(value: bytes | None) -> str:
    return ascii((value or b"")[:32].decode("latin-1"))
