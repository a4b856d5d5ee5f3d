"""Files that a command writes: checked before anything else, never in the way of an input, whole or not at all."""

import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstep.runtime.output import Output, OutputFault, WriteFault, checked, put_whole

OLD = "what was there before\n"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "flow.csv"
    path.write_text(OLD)
    return path


def to(path: Path | str, option: str = "--json") -> Output:
    return Output(option, str(path))


def refused(*outputs: Output, inputs: tuple[tuple[str, Path], ...] = ()) -> str:
    with pytest.raises(OutputFault) as found, checked(outputs, inputs):
        pass
    return str(found.value)


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def other_names(flow: Path) -> Iterator[Path | str]:
    """Every way to name a file again."""
    yield flow
    yield os.path.relpath(flow)
    yield f"{flow.parent}/./{flow.name}"
    yield f"{flow.parent}//{flow.name}"
    folder = flow.parent / "folder"
    folder.mkdir()
    yield f"{folder}/../{flow.name}"
    link = flow.parent / "link"
    link.symlink_to(flow)
    yield link
    hop = flow.parent / "link to the link"
    hop.symlink_to("link")
    yield hop
    hard = flow.parent / "hard"
    hard.hardlink_to(flow)
    yield hard
    other_way = flow.parent / "other way"
    other_way.symlink_to(flow.parent, target_is_directory=True)
    yield other_way / flow.name


def test_an_output_that_is_the_input_is_refused_by_whatever_name(flow: Path) -> None:
    for name in other_names(flow):
        text = refused(to(name), inputs=(("the order flow", flow),))
        assert "is the order flow, which is read; choose another --json file" in text
        text = refused(to(flow), inputs=(("the order flow", Path(name)),))
        assert "is the order flow" in text
    assert flow.read_text() == OLD


def test_two_outputs_in_one_place_are_refused_by_whatever_name(flow: Path) -> None:
    for name in other_names(flow):
        assert "is where --fills goes, too; choose another --reports file" in refused(
            to(flow, "--fills"), to(name, "--reports")
        )


def test_two_outputs_that_are_not_there_yet_are_one_place_too(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("new.csv")
    for name in ("new.csv", "./new.csv", "other/new.csv", "dangling"):
        assert "is where --fills goes, too" in refused(to(tmp_path / "new.csv", "--fills"), to(tmp_path / name))
    assert not (tmp_path / "new.csv").exists()


def test_an_input_that_is_not_there_is_still_no_place_to_write(tmp_path: Path) -> None:
    missing = tmp_path / "cluster.toml"
    assert "is the configuration" in refused(to(missing), inputs=(("the configuration", missing),))


def test_nothing_is_written_into_a_directory_of_data(tmp_path: Path) -> None:
    journal = tmp_path / "engine-1" / "journal"
    journal.mkdir(parents=True)
    (journal / "CURRENT").write_text(OLD)
    (tmp_path / "way in").symlink_to(journal)
    inputs = (("the directory", tmp_path / "engine-1"),)
    for name in ("engine-1/journal/CURRENT", "engine-1/new", "way in/CURRENT"):
        assert "whose files are not to be touched" in refused(to(tmp_path / name), inputs=inputs)
    assert (journal / "CURRENT").read_text() == OLD
    with checked([to(tmp_path / "engine-1.json")], inputs):
        pass


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nodir/x.csv", "there is no directory"),
        ("a/b/c/x.csv", "there is no directory"),
        ("flow.csv/x.csv", "Not a directory"),
        (".", "is a directory"),
        ("new/", "is not the name of a file"),
        ("n" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
        ("dangling", "there is no directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_with_the_remedy(
    tmp_path: Path, flow: Path, name: str, why: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere/x.csv")
    before = sorted(tmp_path.iterdir())
    text = refused(to(f"{tmp_path}/{name}"))
    assert why in text
    assert text.endswith("; choose another --json file")
    assert sorted(tmp_path.iterdir()) == before


def test_the_empty_name_is_refused() -> None:
    assert "'': is not the name of a file" in refused(to(""))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere: go without its rights."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can reach, with one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / "flow.csv").write_text(OLD)
        yield path


def test_a_file_and_a_directory_without_write_permission_are_refused(public: Path) -> None:
    (public / "flow.csv").chmod(0o444)
    if os.geteuid():
        public.chmod(0o555)
    with as_nobody():
        assert "Permission denied" in refused(to(public / "flow.csv"))
        assert "no file can be made in" in refused(to(public / "new.csv"))
    public.chmod(0o755)
    assert (public / "flow.csv").read_text() == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="files of two users need root")
def test_another_users_file_in_a_sticky_directory_is_refused(public: Path) -> None:
    public.chmod(0o1777)
    (public / "flow.csv").chmod(0o666)
    with as_nobody():
        assert "another user's" in refused(to(public / "flow.csv"))


def test_a_file_is_replaced_whole_with_its_permissions_and_links_followed(flow: Path) -> None:
    flow.chmod(0o640)
    link = flow.parent / "link"
    link.symlink_to("flow.csv")
    output = to(link)
    with checked([output], []):
        assert flow.read_text() == OLD
        with output.stream() as stream:
            stream.write("new")
            assert flow.read_text() == OLD
        assert flow.read_text() == "new"
        output.write("newer\n")
    assert link.is_symlink()
    assert flow.read_text() == "newer\n"
    assert stat.S_IMODE(flow.stat().st_mode) == 0o640
    assert parts(flow.parent) == []


def test_a_new_file_gets_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        output = to(tmp_path / "new.json")
        with checked([output], []):
            output.write("{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o640


def give_up(output: Output) -> None:
    with output.stream() as stream:
        stream.write("half")
        raise KeyboardInterrupt


def test_what_fails_on_the_way_leaves_the_old_file(flow: Path) -> None:
    output = to(flow)
    with checked([output], []):
        with pytest.raises(KeyboardInterrupt):
            give_up(output)
        assert flow.read_text() == OLD
        flow.unlink()
        flow.mkdir()
        with pytest.raises(WriteFault, match="what was there before is unchanged"):
            output.write("late")
    assert parts(flow.parent) == []


def test_a_full_disk_is_a_message_and_not_a_part_of_a_file(flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = to(flow)
    with checked([output], []):
        full = os.open("/dev/full", os.O_WRONLY)

        def begin() -> tuple[int, Path]:
            part = flow.parent / ".lockstep-0.part"
            part.touch()
            return full, part

        monkeypatch.setattr(output, "_open_part", begin)
        with pytest.raises(WriteFault, match="No space left on device; what was there before is unchanged"):
            output.write("x" * 300_000)
    assert flow.read_text() == OLD
    assert parts(flow.parent) == []


def test_a_device_is_written_directly(tmp_path: Path) -> None:
    null, also_null, full = to("/dev/null"), to("/dev/null", "--fills"), to("/dev/full", "--reports")
    with checked([null, also_null, full], []):
        null.write("gone")
        with pytest.raises(WriteFault, match="/dev/full: can't be written: No space left on device"):
            full.write("x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_gets_the_text_and_a_pipe_that_nobody_reads_is_told_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a pipe that nobody reads; start its reader first" in refused(to(pipe))
    heard: list[str] = []
    opened = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(opened, True)
    reader = threading.Thread(target=lambda: heard.append(os.fdopen(opened).read()))
    output = to(pipe)
    with checked([output], []):
        reader.start()
        output.write("one\n")
        output.write("two\n")
    reader.join(10)
    assert heard == ["one\ntwo\n"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_whose_reader_has_gone_is_told(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output = to(pipe)
    with checked([output], []):
        os.close(reader)
        with pytest.raises(WriteFault, match="Broken pipe"):
            output.write("x")


def test_a_descriptor_of_the_shell_is_written_and_stays_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    link = tmp_path / "link"
    link.symlink_to(f"/dev/fd/{writer}")
    for name in (f"/dev/fd/{writer}", f"/proc/self/fd/{writer}", link):
        output = to(name)
        with checked([output], []):
            output.write("x")
    assert "is open for reading only" in refused(to(f"/dev/fd/{reader}"))
    assert "is where --fills goes" in refused(to(f"/dev/fd/{writer}", "--fills"), to(f"/proc/self/fd/{writer}"))
    os.close(writer)
    assert os.read(reader, 10) == b"xxx"
    os.close(reader)


def test_standard_output_has_many_names_and_takes_one_output(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/stdout")
    names = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", f"/proc/{os.getpid()}/fd/1", str(link))
    for name in names:
        assert to(name).on_stdout, name
        assert "is where --fills goes, too" in refused(to("-", "--fills"), to(name))
    assert not to(tmp_path / "-").on_stdout


def test_an_output_that_was_not_checked_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not checked"):
        to(tmp_path / "x").write("x")
    assert not (tmp_path / "x").exists()


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        assert "is neither a file nor a pipe" in refused(to(tmp_path / "socket"))


def test_a_file_of_our_own_is_the_old_one_or_the_whole_new_one(flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = flow.parent / "link"
    link.symlink_to("flow.csv")
    put_whole(link, "new\n")
    assert link.is_symlink()
    assert flow.read_text() == "new\n"
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        put_whole(flow, "half")
    assert flow.read_text() == "new\n"
    assert parts(flow.parent) == []
