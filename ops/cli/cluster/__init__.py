"""`lockstep cluster`: what an operator does, one module for each command, imported only when it is used."""

from typing import Final

import click

from lockstep.ops.cli.lazy_group import LazyGroup

_HERE: Final = "lockstep.ops.cli.cluster"

COMMANDS: Final = {
    "status": f"{_HERE}.status",
    "history": f"{_HERE}.history",
    "switchover": f"{_HERE}.switchover",
    "failover": f"{_HERE}.failover",
    "pause": f"{_HERE}.pause:pause",
    "resume": f"{_HERE}.pause:resume",
    "fence": f"{_HERE}.fence",
    "reinit": f"{_HERE}.reinit",
    "ack-policy": f"{_HERE}.ack_policy",
    "halt": f"{_HERE}.trading:halt",
    "resume-trading": f"{_HERE}.trading:resume_trading",
    "kill-switch": f"{_HERE}.kill_switch",
    "rotate-keys": f"{_HERE}.rotate_keys",
    "journal": f"{_HERE}.journal",
    "snapshot": f"{_HERE}.snapshot",
    "repair-config": f"{_HERE}.repair:repair_config",
    "repair-promise": f"{_HERE}.repair:repair_promise",
    "is-primary": f"{_HERE}.is_primary",
    "doctor": f"{_HERE}.doctor",
}
"""Where each command is."""


@click.group("cluster", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Operate a cluster: look, switch over, fence, repair, examine.

    Commands that change who does what show the topology before and after, say why they refuse, and take --dry-run.

    \b
    Exit codes:
      0  done, or it was so already; is-primary: yes
      1  failed: something does not answer, or a check found a fault; is-primary: no
      2  the command line, the configuration or a directory named in it is wrong
      3  refused, by the plan, by the cluster or by you: nothing was changed
      4  not known: no answer came, so look before you repeat it
    """
