"""Refusals as problem documents (RFC 9457): the code, what it means, and what to do. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from lockstep.errors import remedy_of
from lockstep.stream.codes import Code

TYPE: Final = "application/problem+json"
_URN: Final = "urn:lockstep:problem:"
_STATUS: Final = {
    Code.UNAUTHENTICATED: 401,
    Code.NOT_ENTITLED: 403,
    Code.UNKNOWN_ACCOUNT: 404,
    Code.UNKNOWN_INSTRUMENT: 404,
    Code.UNKNOWN_ORDER: 404,
    Code.REPORTS_GONE: 410,
    Code.KEY_REUSED: 422,
    Code.BUSY: 429,
    Code.INSTRUMENT_THROTTLED: 429,
    Code.MARKET_THROTTLED: 429,
    Code.UNAVAILABLE: 503,
    Code.SHUTTING_DOWN: 503,
}
_REMEDIES: Final = {
    Code.UNAUTHENTICATED: "send the header Authorization: Bearer TOKEN with the token of a configured client",
    Code.KEY_REUSED: "this Idempotency-Key stands for another request, sent before; give this one a key of its own",
    Code.REPORTS_GONE: "ask for the orders and the account as they are now; the request was executed once",
    Code.UNAVAILABLE: "send it again after the pause, a command with the same Idempotency-Key: it is executed once",
    Code.SHUTTING_DOWN: "send it to another address, a command with the same Idempotency-Key: it is executed once",
    Code.UNKNOWN_ACCOUNT: "correct its number; /v1/accounts lists those that you may see",
    Code.UNKNOWN_INSTRUMENT: "correct its symbol or number; /v1/instruments lists them",
    Code.MALFORMED_BATCH: "send what the OpenAPI document describes; it is at /openapi.json",
    Code.MISSING_FIELD: "send what the OpenAPI document describes; it is at /openapi.json",
    Code.FIELD_OUT_OF_RANGE: "send what the OpenAPI document describes; it is at /openapi.json",
}


class Problem(Exception):
    """What ends a request. The text says what is the matter, for people."""

    def __init__(
        self,
        code: Code,
        text: str,
        *,
        status: int = 0,
        retry_after_s: int = 0,
        retry_after_ms: int = 0,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """`status`: 0: as the code has it. `retry_after_s`, more exactly `retry_after_ms`: 0: as the status has it.
        `remedy`: of this cause; empty: as the code has it. `more`: further members."""
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status or _STATUS.get(code, 400)
        later = retry_after_ms if self.status in (429, 503) else 0
        self.retry_after_s = retry_after_s or -(-later // 1000) or (1 if self.status in (429, 503) else 0)
        self.retry_after_ms = later or 1000 * self.retry_after_s
        """0: no need to say, or nothing that differs between two answers may be said."""
        self.headers = dict(headers or {})
        if self.retry_after_s:
            self.headers["Retry-After"] = str(self.retry_after_s)
        self.remedy = remedy or _REMEDIES.get(code) or remedy_of(code)
        self.more = more

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "type": _URN + self.code.name.lower().replace("_", "-"),
            "title": self.code.name.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.text,
            "code": self.code.name,
            "number": int(self.code),
            **({"remedy": self.remedy} if self.remedy else {}),
            **({"retry_after_ms": self.retry_after_ms} if self.retry_after_ms else {}),
            **self.more,
        }

    def body(self) -> bytes:
        """As it is sent."""
        return json.dumps(self.document(), separators=(",", ":")).encode()


def refused(code: Code, text: str, **more: Any) -> Problem:
    """An outcome that is a refusal by the exchange: 409, or 404 for what there is not."""
    problem = Problem(code, text, status=_STATUS.get(code, 409), **more)
    # The same key has the same outcome, byte by byte; and to come again with it changes nothing.
    problem.retry_after_ms = 0
    return problem


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "number"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "urn:lockstep:problem: and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is the matter with this request."},
        "code": {"type": "string", "description": "The refusal's code, as in every door."},
        "number": {"type": "integer", "description": "The code's number; the range says who refused."},
        "remedy": {"type": "string", "description": "What to do."},
        "field": {"type": "string", "description": "What the request has wrong: a JSON pointer or a parameter."},
        "retry_after_ms": {"type": "integer", "description": "When to come again, more exactly than Retry-After."},
        "budget": {
            "type": "object",
            "description": "Where the client's budget stands at this process, in points.",
            "required": ["left", "per_s", "at_once", "cost"],
            "properties": {
                "left": {"type": "integer", "description": "That may be spent at once."},
                "per_s": {"type": "integer", "description": "That come back in a second."},
                "at_once": {"type": "integer", "description": "That there are when nothing was spent lately."},
                "cost": {"type": "integer", "description": "Of this request."},
            },
        },
        "seq": {"type": "string", "description": "Of a refused command: where the refusal stands in the history."},
        "reports": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ExecutionReport"},
            "description": "Of a refused command: what the exchange reported.",
        },
    },
}
