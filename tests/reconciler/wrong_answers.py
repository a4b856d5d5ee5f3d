"""Runs the `lockstep` command with a fault planted: account 1 has a micro more in every answer about balances."""

from typing import Any

from lockstep.engine.pages import account_rows
from lockstep.replica import shell


def plant() -> None:
    """Before the engine starts."""
    right = shell.answer_query

    def wrong(*asked: Any) -> Any:
        reply = right(*asked)
        rows = account_rows(reply.account_rows).copy()
        rows["cash_micros"] += rows["account"] == 1
        reply.account_rows = rows.tobytes()
        return reply

    shell.answer_query = wrong


if __name__ == "__main__":
    from lockstep.ops.cli.main import main

    plant()
    main()
