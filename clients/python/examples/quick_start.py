"""Place an order, look at it, cancel it. Run it against `lockstep up`: python quick_start.py 127.0.0.1:7450"""

# ruff: noqa: T201 - an example talks to a person

import sys

from lockstep import Client, Refused


def main(address: str) -> None:
    with Client(address) as client:
        with client.session() as admin:
            admin.define_instrument(id=1, symbol="ACME", tick="0.01").result(timeout=5)
            admin.define_account(account=1, name="alice", unlimited_positions=True).result(timeout=5)
            admin.adjust_cash(account=1, amount="10000").result(timeout=5)

        placed = client.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.50")
        print(f"order {placed.order_id} accepted in epoch {placed.epoch}, {placed.leaves_lots} lots open")

        account = client.account(1)
        print(f"cash {account.cash_micros} micros, {account.reserved_micros} of it reserved")

        client.cancel(account=1, order_id=placed.order_id)
        print(f"order {placed.order_id} canceled")

        try:
            client.place(account=1, instrument="ACME", side="buy", quantity_lots=1_000_000, price="101.50")
        except Refused as refused:
            print(f"refused: {refused}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7450")
