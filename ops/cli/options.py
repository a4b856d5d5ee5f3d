"""What the subcommands share: common options, and how an expected error becomes one message and an exit code.

Every process of the cluster starts through here, so that gRPC and rich are imported only by who needs them.
"""

import contextlib
import functools
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from lockstep.errors import LockstepError
from lockstep.runtime.config import ConfigError, load, named_paths
from lockstep.runtime.config_values import is_endpoint, shown
from lockstep.runtime.driver import DriverRefused
from lockstep.runtime.faults import EXIT_ENVIRONMENT, EXIT_USAGE, BadInput, EnvironmentFault, os_error_text
from lockstep.runtime.output import Output, checked
from lockstep.runtime.topology import Member, ProcessKind, Topology

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_DATA_DIR: Final = Path("lockstep-data")
DEFAULT_CONFIG: Final = DEFAULT_DATA_DIR / "cluster.toml"
CONFIG_VARIABLE: Final = "LOCKSTEP_CONFIG"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Configuration file of the cluster.",
)


class Real(click.FloatRange):
    """A number of a range; NaN, which is outside of none by comparison, is not one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


TIMEOUT: Final = Real(0.01, 3600)
"""Seconds to wait for an answer."""


class _OutputType(click.ParamType[Output]):
    """A file to write: `expected_errors` checks it together with the others before the command begins."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Output:
        del ctx
        return value if isinstance(value, Output) else Output(param.opts[-1] if param else "output", str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        return [CompletionItem(incomplete, type="file")]


def output_option(name: str, parameter: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that names a file to write; `-` is standard output."""
    return click.option(name, parameter, type=_OutputType(), metavar="FILE", help=f"{text} (-: standard output).")


json_option = output_option("--json", "json_file", "Write the result as JSON")

IMPLEMENTATIONS: Final = {"native": ("native",), "reference": ("reference",), "mixed": ("native", "reference")}


def engine_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--engine`: which matching engines a local cluster runs; a key of IMPLEMENTATIONS."""
    return click.option(
        "--engine",
        type=click.Choice(tuple(IMPLEMENTATIONS)),
        default=default,
        show_default=True,
        help="Matching engines: C++, plain Python (the specification), or in turn one of each.",
    )


realtime_option = click.option(
    "--realtime", is_flag=True, help="What carries orders, the load generator too, runs before all else on the machine."
)

_PLAIN_WIDTH: Final = 140


def on_stdout(*outputs: Output | None) -> bool:
    """Whether one of them takes standard output."""
    return any(output is not None and output.on_stdout for output in outputs)


def make_console(*outputs: Output | None) -> "Console":
    """Where people read: standard error if an output takes standard output; wide where nobody's window is."""
    from rich.console import Console

    stderr = on_stdout(*outputs)
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else _PLAIN_WIDTH)


def _check_addresses(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        return ()
    from lockstep.channel import parse_addresses

    try:
        addresses = parse_addresses(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=param) from None
    for address in addresses:
        if not is_endpoint(address):
            raise click.BadParameter(f"{shown(address)} is not HOST:PORT, with a port from 1 to 65535", ctx, param)
    return addresses


def address_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A repeatable `--address HOST:PORT`."""
    return click.option(
        "--address", "addresses", multiple=True, metavar="HOST:PORT", callback=_check_addresses, help=text
    )


id_option = click.option("--id", "member_id", type=int, required=True, help="Id of the process in the configuration.")


class Failure(click.ClickException):
    """An expected error: its message is shown, without a traceback. Exit code 1."""

    exit_code = EXIT_ENVIRONMENT

    def show(self, file: Any = None) -> None:
        """One message on standard error."""
        click.echo(f"lockstep: {self.format_message()}", file=file, err=True)


class InputFault(Failure):
    """The command line, the configuration or an input file is wrong. Exit code 2."""

    exit_code = EXIT_USAGE


_OPTIONAL: Final = {
    "sqlalchemy": "posttrade", "pyarrow": "archive", "boto3": "archive", "botocore": "archive", "moto": "dev",
}  # fmt: skip
"""What a command imports while it runs, by the extra that brings it."""


def expected_errors[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that a command may meet into messages and exit codes; check its outputs before it begins."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with checked(*_outputs_and_inputs(kwargs)):
                return function(*args, **kwargs)
        except BadInput as error:
            raise InputFault(str(error)) from error
        except (EnvironmentFault, DriverRefused, LockstepError, TimeoutError) as error:
            raise Failure(str(error)) from error
        except ModuleNotFoundError as missing:
            wanted = (missing.name or "").split(".")[0]
            if wanted not in _OPTIONAL:
                raise
            raise Failure(f"this needs {wanted}: install lockstep-cluster[{_OPTIONAL[wanted]}]") from missing
        except PermissionError as error:
            raise Failure(f"no permission: {error.filename}; choose another path") from error
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(os_error_text(error)) from error
        except _rpc_error() as error:
            from lockstep.runtime.cluster_view import rpc_text

            raise Failure(rpc_text(error)) from error

    return wrapped


def _outputs_and_inputs(values: Mapping[str, object]) -> tuple[list[Output], list[tuple[str, Path]]]:
    """The outputs among the values of a command's parameters, and the paths that it may read.

    That is every other path on the command line, and all that the configuration names.
    """
    outputs = [value for value in values.values() if isinstance(value, Output)]
    paths: list[tuple[str, Path]] = []
    for name, value in values.items():
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path):
                paths.append((_WORDS.get(name, f"the {name.replace('_', ' ')}"), path))
    config_path = values.get("config_path")
    if outputs and isinstance(config_path, Path):
        # A configuration that can't be read is the command's to report, if it needs one.
        with contextlib.suppress(ConfigError):
            paths += named_paths(load(config_path))
    return outputs, paths


_WORDS: Final = {
    "config_path": "the configuration",
    "flow": "the order flow",
    "directory": "the directory",
    "left": "the directory",
    "right": "the directory",
    "certificate": "the certificate",
    "client_logs": "the client logs' directory",
    "etcd": "the etcd to run",
    "data_dir": "the data directory",
    "journals": "a journal's directory",
    "intakes": "an intake log",
}
"""Parameters in words."""


def _rpc_error() -> type[Exception]:
    # Asked for only when an error has arrived that is none of the others.
    import grpc

    error: type[Exception] = grpc.RpcError
    return error


def load_member(config_path: Path, kind: ProcessKind, member_id: int) -> tuple[Topology, Member]:
    """The configuration and the member that a process is to be.

    Raises:
        ConfigError: the file is wrong, or has no such member.
    """
    topology = load(config_path)
    try:
        return topology, topology.member(kind, member_id)
    except KeyError as error:
        raise ConfigError(f"{config_path}: {error.args[0]}; use one of those ids with --id") from None


def write_json(output: Output | None, result: Mapping[str, object]) -> None:
    """Write a result where `--json` said; nothing without it.

    Raises:
        WriteFault: it can't be written.
    """
    if output is not None:
        output.write(json.dumps(result, indent=2) + "\n")
