"""Rows as protobuf messages: a column at a time is put where protobuf wants it, without an object for each row. Pure.

Numbers that have a fixed size on the wire stand at the same place in each row's message, and zeros are written out,
which protobuf reads as what they are. Texts have room for the longest one, and what a shorter one leaves is taken out
in the end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]] | NDArray[Any]
"""By the names of the message's fields: a structured array, or columns of equal length."""

_ONE_BYTE: Final = 0x80
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE: Final = {
    FieldDescriptor.TYPE_FIXED64: (_FIXED64, "<u8"),
    FieldDescriptor.TYPE_SFIXED64: (_FIXED64, "<i8"),
    FieldDescriptor.TYPE_FIXED32: (_FIXED32, "<u4"),
    # Enums here are below 128: one byte.
    FieldDescriptor.TYPE_ENUM: (_VARINT, "u1"),
    FieldDescriptor.TYPE_BOOL: (_VARINT, "u1"),
    FieldDescriptor.TYPE_STRING: (_LENGTH, "S32"),
}
_LONGEST_TEXT: Final = 32
_SEVENS: Final = ((0, _ONE_BYTE), (7, _ONE_BYTE), (14, _ONE_BYTE), (21, 0))
_HEAD: Final = 5
"""Bytes of a row's tag and length."""
_MOST: Final = 1 << 28
"""A message's length has four bytes, whatever it is: protobuf reads a number that is written longer than need be."""


class RowMessages:
    """A repeated field of messages, of which each is a row."""

    def __init__(self, holder: Any, name: str) -> None:
        """`holder`: descriptor of the message that has the field `name`. Fields of a message that are messages are not
        written: they come in `behind`."""
        field = holder.fields_by_name[name]
        inner = [one for one in field.message_type.fields if one.type != FieldDescriptor.TYPE_MESSAGE]
        columns: list[tuple[str, str] | tuple[str, str, int]] = [("tag", "u1"), ("length", "u1", 4)]
        tags: dict[str, int] = {"tag": field.number << 3 | _LENGTH}
        self._texts: dict[str, int] = {}
        """Place of each text in a row."""
        for one in inner:
            wire_type, dtype = _WIRE[one.type]
            columns.append((f"tag of {one.name}", "u1"))
            tags[f"tag of {one.name}"] = one.number << 3 | wire_type
            if wire_type == _LENGTH:
                columns.append((f"length of {one.name}", "u1"))
                self._texts[one.name] = np.dtype(columns).itemsize
            columns.append((one.name, dtype))
        assert max(tags.values()) < _ONE_BYTE, f"{field.full_name}: a tag needs more than a byte"
        self._blank = np.zeros(1, dtype=np.dtype(columns))
        for tag, value in tags.items():
            self._blank[tag] = value
        self._names = tuple(one.name for one in inner)

    @property
    def size(self) -> int:
        """Bytes of a row, where rows have no texts and nothing behind them."""
        return self._blank.dtype.itemsize

    def encode(self, columns: Columns, behind: Sequence[bytes] = ()) -> bytes:
        """Bytes of the field for all rows, in order. `behind`: what else is in each row's message, if it has any.

        Raises:
            ValueError: what is behind a row makes it longer than a page may be.
        """
        count = len(columns[self._names[0]])
        page = np.repeat(self._blank, count)
        for name in self._names:
            page[name] = columns[name]
        if not self._texts and not behind:
            page["length"] = _overlong(np.array([page.dtype.itemsize - _HEAD]))
            return page.tobytes()
        keep = np.ones((count, page.dtype.itemsize), dtype=bool)
        for name, at in self._texts.items():
            lengths = np.char.str_len(page[name])
            page[f"length of {name}"] = lengths
            keep[:, at : at + _LONGEST_TEXT] = np.arange(_LONGEST_TEXT) < lengths[:, None]
        kept = keep.sum(axis=1)
        length = kept - _HEAD
        if behind:
            length += np.fromiter(map(len, behind), dtype=np.int64, count=count)
        if count and length.max() >= _MOST:
            raise ValueError(f"a row of {length.max()} bytes is none of a page")
        page["length"] = _overlong(length)
        whole = page.view(np.uint8).reshape(keep.shape)[keep].tobytes()
        if not behind:
            return whole
        ends = np.cumsum(kept).tolist()
        parts = zip((0, *ends), ends, behind, strict=False)
        return b"".join([part for begin, end, more in parts for part in (whole[begin:end], more)])


def _overlong(length: NDArray[Any]) -> NDArray[Any]:
    """Lengths as protobuf's numbers of four bytes."""
    return np.stack([length >> shift & 0x7F | more for shift, more in _SEVENS], axis=1)
