"""Runs the `lockstep` command with a fault planted: account 1 has a micro more in every answer about balances."""

from typing import Any

import pytest

from lockstep.engine.pages import account_rows
from lockstep.replica import driver
from lockstep.replica.answers import answer_query


def plant() -> None:
    """Before the engine starts."""

    def wrong(*asked: Any) -> Any:
        reply = answer_query(*asked)
        rows = account_rows(reply.account_rows).copy()
        rows["cash_micros"] += rows["account"] == 1
        reply.account_rows = rows.tobytes()
        return reply

    # Refused if the driver does not answer by that name.
    pytest.MonkeyPatch().setattr(driver, "answer_query", wrong)


if __name__ == "__main__":
    from lockstep.ops.cli.main import main

    plant()
    main()
