"""*Administration*: who may trade an instrument, and when its short sales are held to a price."""

from lockstep.engine.reference import events
from lockstep.engine.reference.book import PPM
from lockstep.engine.reference.events import admin_refused
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import RestrictionCommand
from lockstep.engine.reference.restrictions import EVERYBODY, NO_RESTRICTION, Restriction, are_of_all, are_of_one
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import BEGIN, END
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind


def set_restrictions(state: State, command: RestrictionCommand, out: Output) -> None:
    """SET_RESTRICTIONS, of an account or (id 0) of everybody; all terms 0: there are none any more."""
    terms = Restriction(command.bars, command.max_share_ppm, command.outstanding_lots, command.located_lots)
    book = state.books.get(command.instrument)
    if command.account != EVERYBODY and command.account not in state.accounts:
        admin_refused(out, command, Code.UNKNOWN_ACCOUNT)
    elif book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif not (are_of_one(terms) if command.account != EVERYBODY else are_of_all(terms)):
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        if terms == NO_RESTRICTION:
            book.restrictions.pop(command.account, None)
        else:
            book.restrictions[command.account] = terms
        events.setting(out, command, EventKind.RESTRICTIONS_SET, value=terms.bars)


def set_short_sales(state: State, command: RestrictionCommand, out: Output) -> None:
    """SET_SHORT_SALES: from which fall on they are restricted, and whether they are now."""
    book = state.books.get(command.instrument)
    if book is None:
        admin_refused(out, command, Code.UNKNOWN_INSTRUMENT)
    elif command.fall_ppm > PPM or command.action > END:
        admin_refused(out, command, Code.BAD_DEFINITION)
    else:
        rule = book.short_sales
        rule.fall_ppm = command.fall_ppm
        if command.action == BEGIN:
            rule.begin(out.now_ns)
        elif command.action == END:
            rule.since_day = 0
        restricted = int(rule.are_restricted(out.now_ns))
        events.setting(out, command, EventKind.SHORT_SALES_SET, value=rule.fall_ppm, previous=restricted)
