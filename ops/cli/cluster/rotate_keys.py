"""`lockstep cluster rotate-keys`: new keys for the links between members, while the cluster trades."""

from pathlib import Path

import click

from lockstep.ops.cli.options import (
    InputFault,
    Real,
    config_option,
    expected_errors,
    json_option,
    on_stdout,
    write_json,
)
from lockstep.ops.operator.link_rotation import Rotation
from lockstep.runtime.config import load
from lockstep.runtime.output import Output


@click.command("rotate-keys")
@config_option
@click.option("--without", multiple=True, metavar="MEMBER", help="Do not wait for this member, which is down.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Real(1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that members may take to hear of each step.",
)
@click.option("--anew", is_flag=True, help="Write them anew, after the cluster's key was changed on every host.")
@json_option
@expected_errors
def command(config_path: Path, without: tuple[str, ...], timeout_s: float, anew: bool, json_file: Output | None) -> int:
    """Give the sealed links between members new keys (docs/links.md).

    The next key is announced, used once every member believes it, and the former one is retired once every member uses
    it: no frame is lost. A rotation that was broken off is gone on with.
    """
    topology = load(config_path)
    if not topology.sealed:
        raise InputFault(
            f"{config_path}: links are not sealed here: cert_dir in [tls] has them sealed, unless seal is none"
        )
    known = {member.name for member in topology.all_members()}
    for name in without:
        if name not in known:
            raise InputFault(f"cluster {topology.name} has no {name}; use one of: {', '.join(sorted(known))}")

    def say(text: str) -> None:
        click.echo(text, err=on_stdout(json_file))

    epoch = Rotation(topology, say, without).run(timeout_s, anew=anew)
    say(f"links are sealed with keys of epoch {epoch}, and no others are believed")
    write_json(json_file, {"key_epoch": epoch})
    return 0
