"""`lockstep completion`: what a shell has to read to complete commands, options, values and engines."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(context: click.Context, shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    bash:  lockstep completion bash > ~/.local/share/bash-completion/completions/lockstep
    zsh:   lockstep completion zsh > DIR/_lockstep     (DIR in $fpath, before compinit)
    fish:  lockstep completion fish > ~/.config/fish/completions/lockstep.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "lockstep", "_LOCKSTEP_COMPLETE").source())
    return 0
