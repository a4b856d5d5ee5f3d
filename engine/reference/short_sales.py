"""*Short sales*: a fall under the previous close holds them to a price, which `checks.py` asks for."""

from lockstep.engine.reference import events
from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.output import Output


def look_at_fall(book: Book, price: int, out: Output) -> None:
    """It has traded at `price`: if that is far enough under its previous close, short sales are restricted."""
    rule = book.short_sales
    if not book.close or not rule.begin_today(out.now_ns):
        return
    if (book.close - price) * PPM >= rule.fall_ppm * book.close:
        rule.begin(out.now_ns)
        events.short_sales_restricted(out, book, price=price)
