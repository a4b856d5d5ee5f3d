"""How the numbers of an order-flow file are written: exact decimals, and order ids as client order ids.

Order ids of the file become the orders' client order ids. 0 means "no id" there, so id 0 of the file travels as
2^64 - 1, which in turn a file can't use itself.
"""

from typing import Final

MICROS: Final = 1_000_000
U64_MAX: Final = 2**64 - 1


def file_id_to_client(order_id: int) -> int:
    """The client order id that stands for an order id of the file."""
    return order_id or U64_MAX


def client_id_to_file(client_order_id: int) -> int:
    """The file's order id of a client order id."""
    return 0 if client_order_id == U64_MAX else client_order_id


def format_micros(micros: int) -> str:
    """Currency micros as a decimal number, exact, without trailing zeros."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, fraction = divmod(micros, MICROS)
    return f"{sign}{whole}.{fraction:06d}".rstrip("0").rstrip(".")


def format_price(ticks: int, tick_micros: int) -> str:
    """A price as a decimal number with as many decimals as its tick has."""
    decimals = len(f"{tick_micros % MICROS:06d}".rstrip("0"))
    whole, fraction = divmod(ticks * tick_micros, MICROS)
    return f"{whole}.{fraction:06d}"[: len(str(whole)) + 1 + decimals] if decimals else str(whole)
