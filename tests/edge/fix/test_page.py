"""The page says what the dictionaries say, and the dictionaries hold together."""

from collections.abc import Callable, Iterator

import pytest

from lockstep.edge.fix import page
from lockstep.edge.fix.dictionary import Dictionary, Fault, Layout, fix_44, fix_50sp2
from lockstep.edge.fix.formats import Type
from lockstep.edge.fix.tags import RejectReason
from lockstep.edge.fix.wire import Field, Message

HEADER: tuple[Field, ...] = ((34, b"2"), (49, b"A"), (52, b"20261130-12:00:00"), (56, b"B"))
ORDER: tuple[Field, ...] = (
    (11, b"1"),
    (55, b"X"),
    (54, b"1"),
    (60, b"20261130-12:00:00.000"),
    (40, b"2"),
    (44, b"1.5"),
)


def test_tables_of_the_page_are_current() -> None:
    text = page.FILE.read_text()
    assert page.page(text) == text, "run: python -m lockstep.edge.fix.page"


def parts(layout: Layout) -> Iterator[Layout]:
    yield layout
    for group in layout.members.values():
        if group is not None:
            yield from parts(group)


@pytest.mark.parametrize("dictionary", [fix_44, fix_50sp2])
def test_each_field_of_a_message_is_known_and_each_count_has_its_group(dictionary: Callable[[], Dictionary]) -> None:
    known = dictionary()
    for layout in (known.header, known.trailer, *known.messages.values()):
        for part in parts(layout):
            for tag, group in part.members.items():
                assert (known.fields[tag].type is Type.COUNT) == (group is not None), (part.name, tag)


def fault(*fields: Field, kind: bytes = b"D") -> Fault | None:
    return fix_44().fault(Message(b"FIX.4.4", kind, (*HEADER, *fields)))


@pytest.mark.parametrize(
    "group",
    [
        ((453, b"0"),),
        ((453, b"1"), (448, b"me")),
        ((453, b"2"), (448, b"me"), (447, b"D"), (452, b"1"), (448, b"you")),
        ((453, b"2"), (448, b"me"), (802, b"2"), (523, b"a"), (803, b"1"), (523, b"b"), (448, b"you"), (452, b"3")),
        ((18, b"1 G 6"),),
    ],
)
def test_order_with_groups_is_valid(group: tuple[Field, ...]) -> None:
    assert fault(*ORDER, *group) is None
    assert fault(*group, *ORDER) is None


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (((453, b"1"), (447, b"D"), (448, b"me")), Fault(RejectReason.GROUP_OUT_OF_ORDER, 447)),
        (((453, b"1"), (448, b"me"), (448, b"you")), Fault(RejectReason.GROUP_COUNT, 453)),
        (((453, b"2"), (448, b"me")), Fault(RejectReason.GROUP_COUNT, 453)),
        (((453, b"1"), (448, b"me"), (452, b"1"), (452, b"2")), Fault(RejectReason.REPEATED, 452)),
        (((453, b"1"), (448, b"me"), (802, b"2"), (523, b"a")), Fault(RejectReason.GROUP_COUNT, 802)),
        (((453, b"x"),), Fault(RejectReason.WRONG_FORMAT, 453)),
        (((453, b"1"), (448, b"me"), (452, b"")), Fault(RejectReason.EMPTY, 452)),
        (((18, b"1 ~"),), Fault(RejectReason.WRONG_VALUE, 18)),
        (((43, b"Y"),), Fault(RejectReason.OUT_OF_ORDER, 43)),
        (((89, b"x"), (44, b"2")), Fault(RejectReason.REPEATED, 44)),
        (((8, b"FIX.4.4"),), Fault(RejectReason.REPEATED, 8)),
    ],
)
def test_order_with_a_fault_is_rejected_for_it(fields: tuple[Field, ...], wanted: Fault) -> None:
    assert fault(*ORDER, *fields) == wanted


def test_entry_of_a_group_has_to_have_what_it_requires() -> None:
    market_data = ((262, b"1"), (263, b"0"), (264, b"1"), (267, b"1"), (269, b"0"), (146, b"1"), (55, b"X"))
    assert fault(*market_data, kind=b"V") is None
    news = ((148, b"x"), (33, b"1"))
    assert fault(*news, (58, b"y"), kind=b"B") is None
    assert fault(*news, (354, b"1"), (355, b"y"), kind=b"B") == Fault(RejectReason.GROUP_OUT_OF_ORDER, 354)
