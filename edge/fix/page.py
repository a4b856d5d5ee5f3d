"""Writes the tables of `docs/fix.md` from the dictionaries: `python -m lockstep.edge.fix.page`."""

from pathlib import Path
from typing import Final

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import Dictionary, Layout, fix_44, fix_50sp2

FILE: Final = Path(__file__).resolve().parents[2] / "docs" / "fix.md"
BEGIN: Final = "<!-- written by edge/fix/page.py: begin -->\n"
END: Final = "<!-- written by edge/fix/page.py: end -->\n"


def tables() -> str:
    """Session messages with all their fields, and what each application message requires."""
    old, new = fix_44(), fix_50sp2()
    lines = ["Messages of the session layer; required fields are bold, fields of FIX 5.0 SP2 alone are in italics:", ""]
    lines += ["| 35 | message | fields |", "| --- | --- | --- |"]
    lines.append(f"| | header | {_fields(old.header, new.header, new)} |")
    for kind in sorted(tags.ADMINISTRATIVE):
        layout = new.messages[kind]
        lines.append(f"| {kind.decode()} | {layout.name} | {_fields(old.messages[kind], layout, new)} |")
    lines += ["", "Application messages that the dictionary knows, and what they require:", ""]
    lines += ["| 35 | message | FIX 4.4 | FIX 5.0 SP2 |", "| --- | --- | --- | --- |"]
    for kind, layout in new.messages.items():
        if kind not in tags.ADMINISTRATIVE:
            required = [_required(one.messages[kind], one) for one in (old, new)]
            lines.append(f"| {kind.decode()} | {layout.name} | {required[0]} | {required[1]} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with its tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{FILE} has lost its marks")
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def _fields(old: Layout, new: Layout, dictionary: Dictionary) -> str:
    words = []
    for tag, group in new.members.items():
        name = f"{dictionary.fields[tag].name} ({tag})"
        if tag in new.required:
            name = f"**{name}**"
        elif tag not in old.members:
            name = f"*{name}*"
        if group is not None:
            name += f" [{_fields(group, group, dictionary)}]"
        words.append(name)
    return ", ".join(words)


def _required(layout: Layout, dictionary: Dictionary) -> str:
    return ", ".join(f"{dictionary.fields[tag].name} ({tag})" for tag in layout.required) or "nothing"


if __name__ == "__main__":
    FILE.write_text(page(FILE.read_text()))
