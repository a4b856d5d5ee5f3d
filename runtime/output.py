"""The one place through which a command writes a file that its user named.

An `Output` is where one option (`--json FILE`) points to. `checked` looks at all outputs of a command together with
everything the command reads, before anything is read or sent: an output that is an input, or another output (by
whatever path, symlink or hard link), that lies in a directory of data, or that can't be written, is one `OutputFault`.

A file is written beside its place and renamed, so that it is the old one or the whole new one, never a part. `-`, a
descriptor of this process (`/dev/stdout`, `/dev/fd/5`), a pipe and a character device are written directly.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from lockstep.runtime.faults import BadInput, EnvironmentFault

_DESCRIPTOR: Final = re.compile(r"/(?:dev/(stdin|stdout|stderr)|dev/fd/(\d+)|proc/(?:self|thread-self|(\d+))/fd/(\d+))")
_NAMED: Final = {"stdin": 0, "stdout": 1, "stderr": 2}
_MAX_LINKS: Final = 40
_BUFFER: Final = 1 << 16

Identity = tuple[int, int] | tuple[int, int, str]
"""A file: device and inode; or, there or not yet, device and inode of its directory and its name in it."""


class OutputFault(BadInput):
    """A command can't write where it should; the text names the place, the option and the remedy."""


class WriteFault(EnvironmentFault):
    """Writing failed on the way, for example because the disk is full. What was there before is untouched."""


class _Kind(Enum):
    STDOUT = "standard output"
    DESCRIPTOR = "descriptor"
    DEVICE = "device"
    PIPE = "pipe"
    FILE = "file"


class Output:
    """One place to write to. Check it (`checked`) before use.

    Attributes:
        option: the option that named it, such as `--json`.
        name: the place as it was named.
    """

    def __init__(self, option: str, name: str) -> None:
        self.option = option
        self.name = name
        self._kind = _Kind.FILE
        self._fd = -1
        self._path = Path(name)
        self._checked = False

    @property
    def on_stdout(self) -> bool:
        """Whether it is standard output; people then read on standard error."""
        return self.name == "-" or _descriptor(self.name) == 1

    def check(self) -> None:
        """Whether it can be written. Nothing that exists is changed.

        Raises:
            OutputFault: it can't.
        """
        try:
            self._look()
        except OSError as error:
            raise self.refused(f"can't be written: {error.strerror}") from error
        self._checked = True

    def _look(self) -> None:
        descriptor = 1 if self.name == "-" else _descriptor(self.name)
        if descriptor is not None:
            self._kind = _Kind.STDOUT if descriptor == 1 else _Kind.DESCRIPTOR
            self._fd = descriptor
            if descriptor == 1 and sys.stdout is None:
                raise self.refused("is closed")
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise self.refused("is open for reading only")
            return
        self._path = Path(os.path.realpath(self.name))
        found = _stat(self.name) if self.name else None
        if found is None and (not self.name or self.name.endswith(("/", "/.", "/.."))):
            raise self.refused("is not the name of a file")
        if found is None:
            self._probe_directory()
        elif stat.S_ISREG(found.st_mode):
            os.close(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            self._check_sticky(found)
            self._probe_directory()
        elif stat.S_ISCHR(found.st_mode):
            self._kind = _Kind.DEVICE
            os.close(os.open(self.name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
        elif stat.S_ISFIFO(found.st_mode):
            self._kind = _Kind.PIPE
            self._hold_pipe()
        else:
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "neither a file nor a pipe"
            raise self.refused(f"is {what}")

    def _check_sticky(self, found: os.stat_result) -> None:
        # In a directory such as /tmp only its owner may replace a file.
        parent = self._path.parent.stat()
        if parent.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, parent.st_uid):
            raise self.refused("can't be replaced: it is another user's, in a directory where only its owner may")

    def _probe_directory(self) -> None:
        parent = _stat(self._path.parent)
        if parent is None:
            raise self.refused(f"can't be written: there is no directory {self._path.parent}")
        try:
            fd, part = self._open_part()
        except OSError as error:
            raise self.refused(
                f"can't be written: no file can be made in {self._path.parent} ({error.strerror})"
            ) from error
        os.close(fd)
        part.unlink(missing_ok=True)

    def _hold_pipe(self) -> None:
        # Held from now on: its reader waits for the first byte, and sees the end when the command has ended.
        try:
            self._fd = os.open(self.name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise self.refused("is a pipe that nobody reads; start its reader first") from error
            raise
        os.set_blocking(self._fd, True)

    def _open_part(self) -> tuple[int, Path]:
        return _open_part(self._path)

    def identities(self) -> set[Identity]:
        """What it must have in common with no other file."""
        if self._kind in (_Kind.STDOUT, _Kind.DESCRIPTOR):
            return _descriptor_identity(self._fd) or {(-1, self._fd)}
        if self._kind is _Kind.DEVICE:
            return set()
        return file_identities(self._path)

    @property
    def path(self) -> Path | None:
        """The file, all links followed; None for standard output, descriptors, pipes and devices."""
        return self._path if self._kind is _Kind.FILE else None

    def write(self, text: str) -> None:
        """Put `text` there as a whole. May be called again.

        Raises:
            WriteFault: it failed; the file is as it was before.
        """
        with self.stream() as stream:
            stream.write(text)

    def write_bytes(self, content: bytes) -> None:
        """Put bytes there as a whole.

        Raises:
            WriteFault: it failed; the file is as it was before.
        """
        with self.stream() as stream:
            stream.write_bytes(content)

    def stream(self) -> "OutputStream":
        """Begin to write piece by piece. Use it as a context manager: its regular end puts the file into its place.

        Raises:
            WriteFault: the file can't be begun.
        """
        assert self._checked, f"{self.option} was not checked; see lockstep.runtime.output.checked"
        try:
            if self._kind is _Kind.STDOUT:
                return OutputStream(self, sys.stdout, None)
            if self._kind is _Kind.FILE:
                fd, part = self._open_part()
                _take_over(fd, self._path)
                return OutputStream(self, _text(fd), part)
            if self._kind is _Kind.DEVICE:
                return OutputStream(self, _text(os.open(self.name, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)), None)
            return OutputStream(self, _text(os.dup(self._fd)), None)
        except OSError as error:
            raise self.failed(error) from error

    def close(self) -> None:
        """Let go of a pipe."""
        if self._kind is _Kind.PIPE and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def replace(self, part: Path) -> None:
        """Put a finished file into its place. Raises OSError."""
        _replace(part, self._path)

    def failed(self, error: OSError) -> WriteFault:
        """A failure to write as a message."""
        if self._kind is _Kind.FILE:
            return WriteFault(
                f"{self.name}: can't be written: {error.strerror}; what was there before is unchanged. Make room, or "
                f"choose another {self.option} file"
            )
        where = "standard output" if self._kind is _Kind.STDOUT else self.name
        return WriteFault(f"{where}: can't be written: {error.strerror}; choose another {self.option} file")

    def refused(self, why: str) -> OutputFault:
        """The message that this place can't be used because of `why`."""
        where = "standard output" if self.name == "-" else self.name or "''"
        return OutputFault(f"{where}: {why}; choose another {self.option} file")


class OutputStream:
    """Text on its way to an `Output`. `write` alone takes part in the protocol of `csv.writer`."""

    def __init__(self, output: Output, file: IO[str], part: Path | None) -> None:
        self._output = output
        self._file = file
        self._part = part
        self._own = file is not sys.stdout

    def write(self, text: str) -> int:
        """Add text.

        Raises:
            WriteFault: it can't be written.
        """
        try:
            return self._file.write(text)
        except OSError as error:
            raise self._fault(error) from error

    def write_bytes(self, content: bytes) -> None:
        """Add bytes; text that was written before comes first.

        Raises:
            WriteFault: they can't be written.
        """
        assert isinstance(self._file, TextIOWrapper), "no file of ours"
        try:
            self._file.flush()
            self._file.buffer.write(content)
        except OSError as error:
            raise self._fault(error) from error

    def commit(self) -> None:
        """Everything is written: put the file into its place.

        Raises:
            WriteFault: it can't be written; what was there before is unchanged.
        """
        try:
            self._file.flush()
            if self._part is not None:
                os.fsync(self._file.fileno())
            if self._own:
                self._file.close()
            if self._part is not None:
                self._output.replace(self._part)
                self._part = None
        except OSError as error:
            self.discard()
            raise self._fault(error) from error

    def discard(self) -> None:
        """Leave what was there before."""
        if self._own:
            # A second failure to flush what could not be flushed before says nothing new.
            with contextlib.suppress(OSError):
                self._file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None

    def _fault(self, error: OSError) -> Exception:
        if isinstance(error, BrokenPipeError) and not self._own:
            return error
        return self._output.failed(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


@contextlib.contextmanager
def checked(outputs: Iterable[Output], inputs: Iterable[tuple[str, Path]]) -> Iterator[None]:
    """Check all outputs of a command before it reads or sends anything. `inputs`: what the user calls them, and where.

    Raises:
        OutputFault: one can't be written, or would destroy an input or another output.
    """
    wanted, read = tuple(outputs), tuple(inputs)
    try:
        for what, path in read:
            if _regular_identity(1) & file_identities(path):
                raise OutputFault(f"{path}: is {what}, and standard output goes there; send it elsewhere")
        for output in wanted:
            output.check()
        _check_distinct(wanted)
        for output in wanted:
            for what, path in read:
                _check_apart(output, what, path)
        yield
    finally:
        for output in wanted:
            output.close()


def _check_distinct(outputs: tuple[Output, ...]) -> None:
    taken: dict[Identity, str] = {}
    for output in outputs:
        for identity in output.identities():
            if identity in taken:
                raise output.refused(f"is where {taken[identity]} goes, too")
            taken[identity] = output.option
    for fd, what in ((1, "standard output"), (2, "standard error")):
        for output in outputs:
            if output.path is not None and output.identities() & _regular_identity(fd):
                raise output.refused(f"is where {what} goes, too (or use -)")


def _check_apart(output: Output, what: str, path: Path) -> None:
    """Whether writing the output leaves an input alone: a file, or a directory with all that is in it.

    Raises:
        OutputFault: it does not.
    """
    if output.identities() & file_identities(path):
        raise output.refused(f"is {what}, which is read")
    found = _stat(path)
    if output.path is None or found is None or not stat.S_ISDIR(found.st_mode):
        return
    for folder in output.path.parents:
        above = _stat(folder)
        if above is not None and os.path.samestat(above, found):
            raise output.refused(f"lies in {what} {path}, whose files are not to be touched")


def put_whole(path: Path, text: str) -> None:
    """Write a file of our own so that it is the old one or the whole new one. Raises OSError."""
    path = Path(os.path.realpath(path))
    fd, part = _open_part(path)
    try:
        _take_over(fd, path)
        with _text(fd) as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        _replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _open_part(path: Path) -> tuple[int, Path]:
    part = path.parent / f".lockstep-{secrets.token_hex(8)}.part"
    return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), part


def _replace(part: Path, path: Path) -> None:
    part.replace(path)
    # The name is in place; that it is so after a crash, too, is for the directory's own sync.
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def file_identities(path: Path) -> set[Identity]:
    """What distinguishes a file from others, whether it is there or not: every path to it gives the same."""
    found = _stat(path)
    real = Path(os.path.realpath(path))
    parent = _stat(real.parent)
    identities: set[Identity] = set()
    if found is not None:
        identities.add((found.st_dev, found.st_ino))
    if parent is not None:
        identities.add((parent.st_dev, parent.st_ino, real.name))
    return identities


def _descriptor(name: str) -> int | None:
    """The descriptor of this process that a path stands for, by whatever link; None: it stands for none."""
    path = os.path.normpath(Path.cwd() / name)
    for _ in range(_MAX_LINKS):
        match = _DESCRIPTOR.fullmatch(path)
        if match is not None and match[3] in (None, str(os.getpid())):
            return _NAMED[match[1]] if match[1] else int(match[2] or match[4])
        try:
            target = Path(path).readlink()
        except OSError:
            return None
        path = os.path.normpath(Path(path).parent / target)
    return None


def _regular_identity(fd: int) -> set[Identity]:
    try:
        found = os.fstat(fd)
    except OSError:
        return set()
    return {(found.st_dev, found.st_ino)} if stat.S_ISREG(found.st_mode) else set()


def _descriptor_identity(fd: int) -> set[Identity]:
    # Two outputs may not share a pipe either; what every process shares (a terminal, /dev/null) distinguishes nothing.
    found = os.fstat(fd)
    shared = stat.S_ISCHR(found.st_mode) and fd != 1
    return set() if shared else {(found.st_dev, found.st_ino)}


def _stat(path: Path | str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _take_over(fd: int, path: Path) -> None:
    """Give the new file the old one's permissions and, where that is allowed, owner."""
    old = _stat(path)
    if old is None:
        return
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    with contextlib.suppress(OSError):
        os.fchown(fd, old.st_uid, old.st_gid)


def _text(fd: int) -> TextIOWrapper:
    return TextIOWrapper(os.fdopen(fd, "wb", buffering=_BUFFER), encoding="utf-8", newline="")
