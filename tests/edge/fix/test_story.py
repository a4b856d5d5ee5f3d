"""A session's rows as messages: the same ones under the same numbers, whoever reads them, wherever its doors die."""

from random import Random

import pytest

from lockstep.edge.fix.dictionary import fix_44, fix_50sp2
from lockstep.edge.fix.entry import Entry
from lockstep.edge.fix.notes import Given, Note, NoteKind, NoteReader, note_commands, seal_command
from lockstep.edge.fix.numbering import Numbering
from lockstep.edge.fix.story import Story, StrangeNote
from lockstep.edge.fix.symbols import Instrument, Symbols, average_text, lots_of, micros_of, price_text, ticks_of
from lockstep.edge.fix.wire import Message, encode
from lockstep.engine.native import NativeEngine
from lockstep.engine.reference import ReferenceEngine
from tests.edge.fix.desk import SESSION, Desk, message


def order(name: str, number: int, side: str = "1", quantity: str = "10", price: str = "100", **more: str) -> Message:
    fields = {"34": str(number), "11": name, "55": "ACME", "54": side, "60": "20261201-00:00:00"}
    return message(
        "D", fields | {"38": quantity, "40": "2", "44": price} | {tag[1:]: text for tag, text in more.items()}
    )


@pytest.mark.parametrize("engine", [NativeEngine, ReferenceEngine])
def test_whoever_reads_the_rows_has_the_same_messages_and_numbers(engine):
    desk = Desk(engine)
    dice = Random(1)
    for number in range(1, 200):
        name = f"order-{number}-with-a-name-that-takes-three-notes"
        desk.send(order(name, number, dice.choice("12"), str(dice.randrange(1, 30)), str(dice.randrange(98, 103))))
        if dice.random() < 0.3:
            desk.give(dice.randrange(1, 3))
        if dice.random() < 0.2:
            desk.read()
    desk.read()
    other = desk.reader()
    assert other.bodies == desk.story.bodies
    assert (other.next_in, other.next_out) == (200, desk.story.next_out)
    assert [other.numbering.number_of(at) for at in range(other.count)] == desk.numbers


def test_every_report_is_valid_by_the_dictionary():
    desk = Desk(NativeEngine)
    desk.send(order("A", 1, "2"))
    desk.send(order("B", 2, "1", "4"))
    change = {"11": "C", "41": "A", "55": "ACME", "54": "2", "60": "20261201-00:00:00", "38": "9", "40": "2"}
    desk.send(message("G", change | {"34": "3", "44": "101"}))
    desk.send(message("F", {"34": "4", "11": "D", "41": "NO", "55": "ACME", "54": "2", "60": "20261201-00:00:00"}))
    desk.send(message("H", {"34": "5", "11": "A", "55": "ACME", "54": "2"}))
    desk.send(message("AF", {"34": "6", "584": "ALL", "585": "7"}))
    desk.send(message("q", {"34": "7", "11": "E", "530": "7", "60": "20261201-00:00:00"}))
    desk.send(message("q", {"34": "8", "11": "G", "530": "3", "60": "20261201-00:00:00"}))
    desk.send(message("e", {"34": "9", "324": "S", "55": "ACME", "263": "0"}))
    desk.send(order("F", 10, price="-1"))
    desk.read()
    header = ((34, b"1"), (49, b"LOCKSTEP"), (52, b"20261201-00:00:00"), (56, b"ME"))
    kinds = set()
    for body in desk.story.bodies:
        kinds.add(body.kind)
        for dictionary in (fix_44(), fix_50sp2()):
            assert dictionary.fault(Message(dictionary.begin, body.kind, (*header, *body.fields()))) is None, body
    assert kinds == {b"8", b"9", b"r", b"j"}
    assert desk.story.next_in == 11


def test_a_clordid_of_a_message_that_comes_again_does_nothing_and_a_second_use_is_refused():
    desk = Desk(NativeEngine)
    desk.send(order("A", 1))
    assert desk.send(order("A", 1, t43="Y")) == 0
    desk.read()
    assert desk.send(order("A", 1, t43="Y")) == 0
    desk.send(order("A", 2))
    desk.send(order("A", 3, t97="Y"))
    desk.read()
    reports = [dict(body.fields()) for body in desk.story.bodies]
    assert [(one[150], one[39]) for one in reports] == [(b"0", b"0"), (b"8", b"8"), (b"I", b"0")]
    assert reports[1][103] == b"6"


def test_an_order_whose_note_alone_got_through_did_not_come():
    desk = Desk(NativeEngine)
    desk.send(order("A", 1), only=1)
    desk.seal(5)
    other = desk.reader()
    assert (other.bodies, other.used, other.next_in) == ([], {}, 1)


def test_what_a_dead_connection_sent_behind_a_gap_is_not_counted_as_dealt_with():
    desk = Desk(NativeEngine)
    desk.open()
    desk.send(order("A", 2))
    desk.seal(1)
    desk.send(order("C", 4))
    other = desk.reader()
    assert set(other.used) == {b"A", b"C"}
    assert other.next_in == 3, "message 3 has to be asked for"
    desk.open(next_in=3)
    desk.send(order("B", 3))
    desk.send(order("C", 4, t43="Y"))
    assert desk.reader().next_in == 4


def test_doors_that_die_anywhere_leave_numbers_that_nobody_gives_twice():
    for seed in range(60):
        dice = Random(seed)
        desk = Desk(NativeEngine)
        heard: dict[int, object] = {}
        """What a client was sent, by number."""
        number = 0
        for _ in range(12):
            desk.restart_door()
            desk.open()
            for _ in range(dice.randrange(8)):
                number += 1
                desk.send(order(f"{seed}-{number}", number, dice.choice("12"), price=str(dice.randrange(99, 102))))
                if dice.random() < 0.4:
                    desk.give(1)
                if dice.random() < 0.5:
                    desk.read()
                    for at, given in desk.sent().items():
                        assert heard.setdefault(at, given) == given, f"seed {seed}: {at} was given twice"
            desk.die(dice)
        last = desk.reader()
        told = {last.numbering.number_of(at): body for at, body in enumerate(last.bodies)}
        for at, given in heard.items():
            assert told.get(at, "session layer") == given, f"seed {seed}: {at} is another message now"


def test_numbers_start_again_in_front_of_the_message_that_is_named():
    numbering = Numbering()
    numbering.give(0, 1)
    numbering.give(3, 2)
    assert [numbering.number_of(at) for at in range(5)] == [2, 3, 4, 7, 8]
    assert numbering.ordinals(4, 7, 5) == range(2, 4)
    assert numbering.ordinals(5, 6, 5) == range(3, 3)
    numbering.restart(4, 9)
    numbering.give(4, 1)
    assert (numbering.number_of(4), numbering.life) == (2, 1)
    with pytest.raises(ValueError, match="already"):
        numbering.give(3, 1)


@pytest.mark.parametrize("kind", list(NoteKind))
def test_a_note_says_what_was_put_down(kind):
    if kind in (NoteKind.GIVEN, NoteKind.OPENED, NoteKind.RESTARTED):
        since_ns = 17 if kind is NoteKind.RESTARTED else 0
        said: Note | Given = Given(kind, 10**10, 3, 10**15, since_ns)
    else:
        said = Note(kind, 10**15, b"n" * 64, b"o" * 40, b"SYMBOL", 4006, 1138, 0x32, 0x37, 7)
    reader, got = NoteReader(), []
    commands = [seal_command()] if kind is NoteKind.SEAL else note_commands(said)
    for at, command in enumerate(commands):
        got.append(reader.take({**command, "session_no": 5 + at}))
    assert got[:-1] == [None] * (len(got) - 1)
    known = got[-1]
    assert known is not None
    if kind is NoteKind.SEAL:
        return
    assert (known.kind, len(commands) <= 16) == (kind, True)
    if isinstance(said, Given):
        assert known == said
    else:
        assert isinstance(known, Note)
        assert (known.number, known.name) == (said.number, said.name)


def test_notes_that_no_door_wrote_end_the_reading_and_nothing_else():
    desk = Desk(NativeEngine)
    desk.put(note_commands(Given(NoteKind.GIVEN, 77, 1, 1)))
    with pytest.raises(StrangeNote):
        desk.reader()
    dice, desk = Random(3), Desk(NativeEngine)
    for _ in range(2_000):
        word = bytes((0x80 | dice.choice((1, 8, 9, 10, 11, 16, 17, 20, 21, 22, 23, 99, 127)),)) + dice.randbytes(15)
        high, low = int.from_bytes(word[:8], "big"), int.from_bytes(word[8:], "big")
        desk.put([seal_command() | {"order_id": high, "client_order_id": low}])
    desk.reader()


def test_prices_and_quantities_are_exact():
    lot = Instrument(2, b"LOT", 100, 100)
    right = {b"1": 1_000_000, b"1.5": 1_500_000, b".25": 250_000, b"1.0000000": 1_000_000}
    assert {text: micros_of(text) for text in right} == right
    assert [micros_of(text) for text in (b"0.0000001", b"-1", b"", b".", b"1e3")] == [None] * 5
    assert (ticks_of(b"0.0101", lot), ticks_of(b"0.01011", lot), lots_of(b"200", lot), lots_of(b"250", lot)) == (
        101,
        0,
        2,
        0,
    )
    assert (price_text(101, lot), price_text(-5, lot), price_text(10_000, lot)) == (b"0.0101", b"-0.0005", b"1")
    assert average_text(3 * 101 + 102, 4, lot) == b"0.010125"


def test_a_story_holds_no_order_that_another_session_gave():
    story = Story(Symbols(), SESSION)
    assert (story.next_in, story.next_out, story.count) == (1, 1, 0)
    entry = Entry(story, Symbols(), SESSION, 1, ())
    assert entry.commands(order("A", 1)), "an unknown instrument is refused by a note"
    assert encode(b"FIX.4.4", b"0", ()).startswith(b"8=FIX.4.4")
