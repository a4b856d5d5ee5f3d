"""Runs the `lockstep` command with a fault planted: account 1 has a micro more in every answer about balances."""

from typing import Any

from lockstep.replica import shell


def plant() -> None:
    """Before the engine starts."""
    right = shell.answer_query

    def wrong(request: Any, engine: Any) -> Any:
        reply = right(request, engine)
        for account in reply.accounts:
            account.cash_micros += account.account == 1
        return reply

    shell.answer_query = wrong


if __name__ == "__main__":
    from lockstep.ops.cli.main import main

    plant()
    main()
