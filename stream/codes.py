"""Every code an order can be answered with, in one numeric range per stage.

A refusal is a code, never an exception: it is part of the event stream, so it is journaled, digested and released
like a fill. The range says who refused, which is the first thing that somebody reading a log wants to know:

| range | stage | consumes the session number? |
| --- | --- | --- |
| 1000-1099 | gateway: request is malformed or not allowed | yes, once it is stamped as a REFUSED command |
| 1100-1199 | gateway: come again (retryable) | no |
| 2000-2099 | sequencer (retryable) | no |
| 3000-3999 | pre-trade risk, inside the engine | yes |
| 4000-4999 | engine | yes, but `NOT_EXECUTED` |
| 5000-5999 | why an order left the book (not a refusal) | - |

`proto/generate.py` writes the enum from `proto/codes.toml`, and the public protocol's with it.
"""

from typing import Final

from lockstep.stream.enums import Code as Code

CODE_METADATA: Final = "lockstep-code"
"""Trailing metadata of every call that failed: the numeric `Code`."""
RETRY_METADATA: Final = "lockstep-retry-after-ms"
"""Trailing metadata of every call that failed: how long to wait before the same is tried again; 0: no need to."""

NOT_EXECUTED: Final = (Code.SESSION_OUT_OF_ORDER, Code.KEY_REUSED)
"""Refusals of a session number, which is not the next, or another command's: the command had no effect."""


def is_retryable(code: int) -> bool:
    """Whether the same command may be sent again under the same session number."""
    return 1100 <= code < 1200 or 2000 <= code < 2100
