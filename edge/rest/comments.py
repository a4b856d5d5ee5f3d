"""What the .proto files say of their messages and fields, which Python's descriptors leave out. Pure.

The files are ours: one thing a line, comments above it.
"""

import re
from typing import Final

_BLOCK: Final = re.compile(r"(service|message|enum|oneof) (\w+) \{(\})?")
_FIELD: Final = re.compile(r"(?:(?:repeated|optional) )?[\w.]+ (\w+) = \d+;")
_PACKAGE: Final = "lockstep.v1"


def comments_of(text: str) -> dict[str, str]:
    """By full name of a message, enum or field: the comment above it in the text of a .proto file."""
    found: dict[str, str] = {}
    comment: list[str] = []
    blocks: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("//"):
            if "generated" not in line:
                comment.append(line[2:].strip())
            continue
        block, entry = _BLOCK.fullmatch(line), _FIELD.fullmatch(line)
        name = block[2] if block else entry[1] if entry else ""
        if name and comment:
            found[".".join((_PACKAGE, *filter(None, blocks), name))] = " ".join(comment)
        comment.clear()
        if block and not block[3]:
            # The fields of a oneof are its message's.
            blocks.append("" if block[1] == "oneof" else name)
        elif line == "}":
            blocks.pop()
    return found
