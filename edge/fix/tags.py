"""Tags and message types that the session layer itself speaks of."""

from enum import IntEnum
from typing import Final

BEGIN_SEQ_NO: Final = 7
BEGIN_STRING: Final = 8
BODY_LENGTH: Final = 9
CHECK_SUM: Final = 10
END_SEQ_NO: Final = 16
MSG_SEQ_NUM: Final = 34
MSG_TYPE: Final = 35
NEW_SEQ_NO: Final = 36
POSS_DUP_FLAG: Final = 43
REF_SEQ_NUM: Final = 45
SENDER_COMP_ID: Final = 49
SENDER_SUB_ID: Final = 50
SENDING_TIME: Final = 52
TARGET_COMP_ID: Final = 56
TARGET_SUB_ID: Final = 57
TEXT: Final = 58
RAW_DATA_LENGTH: Final = 95
RAW_DATA: Final = 96
POSS_RESEND: Final = 97
ENCRYPT_METHOD: Final = 98
HEART_BT_INT: Final = 108
TEST_REQ_ID: Final = 112
ON_BEHALF_OF_COMP_ID: Final = 115
ON_BEHALF_OF_SUB_ID: Final = 116
ORIG_SENDING_TIME: Final = 122
GAP_FILL_FLAG: Final = 123
DELIVER_TO_COMP_ID: Final = 128
DELIVER_TO_SUB_ID: Final = 129
RESET_SEQ_NUM_FLAG: Final = 141
ON_BEHALF_OF_LOCATION_ID: Final = 144
DELIVER_TO_LOCATION_ID: Final = 145
REF_TAG_ID: Final = 371
REF_MSG_TYPE: Final = 372
SESSION_REJECT_REASON: Final = 373
USERNAME: Final = 553
PASSWORD: Final = 554
NEXT_EXPECTED_MSG_SEQ_NUM: Final = 789
DEFAULT_APPL_VER_ID: Final = 1137

HEARTBEAT: Final = b"0"
TEST_REQUEST: Final = b"1"
RESEND_REQUEST: Final = b"2"
REJECT: Final = b"3"
SEQUENCE_RESET: Final = b"4"
LOGOUT: Final = b"5"
LOGON: Final = b"A"
ADMINISTRATIVE: Final = frozenset((HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON))

DATA_OF: Final = {
    90: 91,
    93: 89,
    95: 96,
    212: 213,
    348: 349,
    350: 351,
    352: 353,
    354: 355,
    356: 357,
    358: 359,
    360: 361,
    362: 363,
    364: 365,
    445: 446,
    618: 619,
    621: 622,
    1184: 1185,
    1401: 1402,
    1403: 1404,
}
"""Length fields, each with the data field that has to follow it. Data may hold any byte."""

REVERSED_ROUTE: Final = (
    (DELIVER_TO_COMP_ID, ON_BEHALF_OF_COMP_ID),
    (DELIVER_TO_SUB_ID, ON_BEHALF_OF_SUB_ID),
    (DELIVER_TO_LOCATION_ID, ON_BEHALF_OF_LOCATION_ID),
    (ON_BEHALF_OF_COMP_ID, DELIVER_TO_COMP_ID),
    (ON_BEHALF_OF_SUB_ID, DELIVER_TO_SUB_ID),
    (ON_BEHALF_OF_LOCATION_ID, DELIVER_TO_LOCATION_ID),
)
"""Where an answer's routing fields come from: (field of the answer, field of the message it answers)."""


class RejectReason(IntEnum):
    """SessionRejectReason (373)."""

    INVALID_TAG = 0
    REQUIRED_TAG_MISSING = 1
    TAG_NOT_DEFINED = 2
    EMPTY = 4
    WRONG_VALUE = 5
    WRONG_FORMAT = 6
    COMP_ID = 9
    SENDING_TIME = 10
    INVALID_MSG_TYPE = 11
    REPEATED = 13
    OUT_OF_ORDER = 14
    GROUP_OUT_OF_ORDER = 15
    GROUP_COUNT = 16
    OTHER = 99


REASONS: Final = {
    RejectReason.INVALID_TAG: b"Invalid tag number",
    RejectReason.REQUIRED_TAG_MISSING: b"Required tag missing",
    RejectReason.TAG_NOT_DEFINED: b"Tag not defined for this message type",
    RejectReason.EMPTY: b"Tag specified without a value",
    RejectReason.WRONG_VALUE: b"Value is incorrect (out of range) for this tag",
    RejectReason.WRONG_FORMAT: b"Incorrect data format for value",
    RejectReason.COMP_ID: b"CompID problem",
    RejectReason.SENDING_TIME: b"SendingTime accuracy problem",
    RejectReason.INVALID_MSG_TYPE: b"Invalid MsgType",
    RejectReason.REPEATED: b"Tag appears more than once",
    RejectReason.OUT_OF_ORDER: b"Tag specified out of required order",
    RejectReason.GROUP_OUT_OF_ORDER: b"Repeating group fields out of order",
    RejectReason.GROUP_COUNT: b"Incorrect NumInGroup count for repeating group",
}
"""The standard's own words for each reason."""
