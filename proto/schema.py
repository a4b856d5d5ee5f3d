"""The schema as values: what records.toml, enums.toml, codes.toml and columns.toml say, with offsets."""

import re
import tomllib
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
_SIZED = re.compile(r"(text|reserved) [1-9]\d*")

Table = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of a record, or a column. Its type is one of SIZES, `text N` or `reserved N`."""

    name: str
    type: str
    enum: str = ""
    note: str = ""
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return SIZES.get(self.type) or int(self.type.split()[1])

    @property
    def is_reserved(self) -> bool:
        """Whether the bytes have no meaning yet."""
        return self.type.startswith("reserved")


@dataclass(frozen=True)
class Record:
    """A record, or what several begin or end with. `own` are the fields that neither head nor tail has."""

    name: str
    own: list[Field]
    fields: list[Field]
    note: str = ""
    struct: str = ""
    member: str = ""
    head: str = ""
    tail: str = ""
    kinds: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Value:
    """One number of an enum. `stage`: of a code, what its range says."""

    name: str
    number: int
    note: str = ""
    public_note: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Enum:
    """An enum, and who knows it; enums.toml says what these are."""

    name: str
    note: str
    public_note: str
    values: list[Value]
    public: list[str] = field(default_factory=list)
    flags: bool = False
    stream: bool = True
    native: str = ""
    bits: int = 8
    protobuf: str = ""
    client: str = ""

    @property
    def public_values(self) -> list[Value]:
        """Those that users know."""
        return [value for value in self.values if not self.public or value.name in self.public]


class Schema:
    """All of it."""

    def __init__(self) -> None:
        """Read and check the four files.

        Raises:
            ValueError, KeyError: they contradict each other.
        """
        records, enums, columns = (_load(name) for name in ("records", "enums", "columns"))
        self.heads: dict[str, Record] = {}
        for name, table in records["head"].items():
            self.heads[name] = self._record(name, table)
        self.tails = {name: self._record(name, table) for name, table in records["tail"].items()}
        made = [self._record(name, table) for name, table in records["record"].items()]
        self.commands, self.events = ([r for r in made if bool(r.member) == is_command] for is_command in (True, False))
        self.enums = [*(_enum(name, table) for name, table in enums.items()), _codes()]
        self.number = {enum.name: {value.name: value.number for value in enum.values} for enum in self.enums}
        by_name = {found.name: found for found in made[0].fields}
        notes = self.column_notes = columns["command"]["notes"]
        listed = {*columns["command"]["columns"], *columns["command"]["new_order"]}
        if strange := sorted(listed - by_name.keys()):
            raise ValueError(f"columns.toml: {', '.join(strange)}: no field of {made[0].name}")
        self.command_columns = [by_name[name] for name in columns["command"]["columns"]]
        self.new_order = [replace(by_name[name], note=notes.get(name, "")) for name in columns["command"]["new_order"]]
        self.report_columns = _fields(columns["report"]["columns"])
        self.order_fields = _fields(columns["order"]["columns"])
        for enum, found in (("CommandKind", self.commands), ("EventKind", self.events)):
            if sorted(kind for record in found for kind in record.kinds) != sorted(self.number[enum]):
                raise ValueError(f"records.toml: not every {enum} has one record")
            for record in found:
                has, wanted = sum(one.size for one in record.fields), records["sizes"][enum]
                if has != wanted:
                    text = f"records.toml: {record.name} has {has} bytes instead of {wanted}"
                    raise ValueError(f"{text}: take a new field's bytes from its `reserved` ones, if it has any left")

    @property
    def fingerprint(self) -> int:
        """64 bits of every name, place, width and number: a compiled core and the Python beside it must agree on it."""
        layout = [(r.name, [(f.name, f.type) for f in r.fields], r.kinds) for r in (*self.commands, *self.events)]
        return int.from_bytes(blake2b(repr((layout, self.number)).encode(), digest_size=8).digest())

    def _record(self, name: str, table: Table) -> Record:
        own, fields, offset = _fields(table.pop("fields")), [], 0
        before = self.heads[table["head"]].fields if "head" in table else []
        for found in [*before, *own, *(self.tails[table["tail"]].own if "tail" in table else [])]:
            fields.append(replace(found, offset=offset))
            offset += found.size
        kinds = table.get("kinds", {})
        kinds = kinds if isinstance(kinds, dict) else {kind: [] for kind in kinds}
        return Record(**{"name": name, **table, "own": own, "fields": fields, "kinds": kinds})


def _load(name: str) -> Table:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


def _fields(table: Table) -> list[Field]:
    return [_field(name, found if isinstance(found, dict) else {"type": found}) for name, found in table.items()]


def _field(name: str, found: Table) -> Field:
    if strange := sorted(set(found) - {"type", "enum", "note"}):
        raise ValueError(f"{name} says {', '.join(strange)}; a field says type, enum and note")
    if found.get("type") not in SIZES and not _SIZED.fullmatch(str(found.get("type"))):
        raise ValueError(f"{name} is {found.get('type')!r}; a type is {', '.join(SIZES)}, `text N` or `reserved N`")
    return Field(name, **found)


def _value(name: str, found: int | Table, stage: str = "") -> Value:
    table = found if isinstance(found, dict) else {"number": found}
    return Value(**{"name": name, "public_note": table.get("note", ""), **table, "stage": stage})


def _enum(name: str, table: Table) -> Enum:
    values = [_value(*item) for item in table["values"].items()]
    return Enum(**{"name": name, "public_note": table["note"], **table, "values": values})


def _codes() -> Enum:
    note = "Outcome of a command, or why an order ended: one range of numbers for each stage."
    values = [Value("OK", 0)]
    for stage in _load("codes")["stage"]:
        values += [_value(name, found, stage["note"]) for name, found in stage["codes"].items()]
    return Enum("Code", note, note, values, native="code", bits=16, protobuf="common", client="Code")
