"""`lockstep cluster kill-switch`: an account's orders out, and no new ones in."""

from pathlib import Path

import click

from lockstep.enums import AccountStatus
from lockstep.ops.cli.cluster.steps import operator_errors
from lockstep.ops.cli.cluster.venue import result_of, token_option, value_before, venue
from lockstep.ops.cli.options import config_option, json_option, make_console, write_json
from lockstep.runtime.output import Output


@click.command("kill-switch")
@click.argument("account", type=click.IntRange(1, 2**32 - 1))
@config_option
@click.option("--lift", is_flag=True, help="Let the account trade again.")
@token_option
@json_option
@operator_errors
def command(account: int, config_path: Path, lift: bool, token: str | None, json_file: Output | None) -> int:
    """Cancel all orders of ACCOUNT (its number) and refuse new ones, in one command; --lift lets it trade again.

    Nothing is asked: it is for emergencies. The account may still cancel.
    """
    with venue(config_path, token) as (topology, client, session):
        live = len(client.open_orders(account))
        if lift:
            result = result_of(session.set_account_status(account=account, status=AccountStatus.ACTIVE))
            before = value_before(topology, result.outcome.seq, lambda value: AccountStatus(value).name.lower())
            state = f"{before} -> {AccountStatus.ACTIVE.name.lower()}"
        else:
            result = result_of(session.mass_cancel(account=account, block=True))
            state = "may only cancel"
        left = len(client.open_orders(account))
    seq = result.outcome.seq
    make_console(json_file).print(
        f"account {account}: {state}; live orders {live} -> {left}; at seq {seq}, epoch {result.epoch}",
        highlight=False,
    )
    write_json(
        json_file,
        {
            "account": account,
            "blocked": not lift,
            "orders_before": live,
            "orders_after": left,
            "seq": seq,
            "epoch": result.epoch,
        },
    )
    return 0
