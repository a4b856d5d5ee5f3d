"""What outcome codes and kinds of reports mean for a client."""

from lockstep.enums import Code, EventKind

REFUSING_KINDS = frozenset(
    (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED, EventKind.ADMIN_REJECTED)
)
"""Outcomes that say that the command had no effect."""


def code_name(code: int) -> str:
    """Name of a code for people; a newer cluster may send one that this version doesn't know."""
    try:
        return Code(code).name
    except ValueError:
        return f"code {code}"


def is_retryable(code: int) -> bool:
    """Whether the same command may be sent again under the same session number."""
    return 1100 <= code < 1200 or 2000 <= code < 2100
