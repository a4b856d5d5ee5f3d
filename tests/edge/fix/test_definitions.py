"""The QuickFIX project's acceptance definitions of a FIX acceptor, all of FIX 4.4 and of FIX 5.0 SP2.

They lie outside the repository (see the fixture). `definitions.py` runs them.
"""

from pathlib import Path

import pytest

from lockstep.edge.fix.dictionary import fix_44, fix_50sp2

from .definitions import TEXTS, Acceptor, Definition, Unexpected, patterns_of

DEFINITIONS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "quickfix_definitions"
VERSIONS = {"fix44": (fix_44, b"TW44"), "fix50sp2": (fix_50sp2, b"TW50SP2")}
COUNTS = {"fix44": 59, "fix50sp2": 60}
_FILES = [path.relative_to(DEFINITIONS) for path in sorted(DEFINITIONS.glob("*/*.def"))]


@pytest.fixture
def definitions() -> Path:
    """The folder of the definitions; without it these tests are skipped."""
    if not DEFINITIONS.is_dir():
        pytest.skip(f"acceptance definitions are not at {DEFINITIONS}")
    return DEFINITIONS


def run(folder: Path, version: str, path: Path) -> int:
    """Run a definition; returns how many messages were compared."""
    dictionary, client = VERSIONS[version]
    patterns = patterns_of((folder / "fields.fmt").read_text())
    return Definition(path, Acceptor(dictionary(), client), patterns).run()


@pytest.mark.parametrize("name", _FILES or [Path("none")], ids=str)
def test_definition_holds(definitions: Path, name: Path) -> None:
    run(definitions, name.parts[0], definitions / name)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_definitions_are_there(definitions: Path, version: str) -> None:
    assert sum(1 for name in _FILES if name.parts[0] == version) == COUNTS[version]


def test_no_text_differs_from_theirs() -> None:
    assert not TEXTS


LOGON = "iCONNECT\nI8=FIX.4.4|35=A|34=1|49=TW44|52=<TIME>|56=ISLD|98=0|108=30|\n"
ANSWER = "E8=FIX.4.4|9=63|35=A|34=1|49=ISLD|52=00000000-00:00:00.000|56=TW44|98=0|108=30|10=0|\n"


@pytest.mark.parametrize(
    "text",
    [
        LOGON + ANSWER.replace("34=1", "34=2"),
        LOGON + ANSWER.replace("98=0|108=30", "108=30|98=0"),
        LOGON + ANSWER.replace("9=63", "9=64"),
        LOGON + ANSWER.replace("108=30|", "108=30|58=x|"),
        LOGON + ANSWER + ANSWER,
        LOGON + "eDISCONNECT\n",
        LOGON + ANSWER + "I8=FIX.4.4|35=1|34=2|49=TW44|52=<TIME>|56=ISLD|112=A|\neDISCONNECT\n",
    ],
)
def test_runner_finds_what_differs(definitions: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.def"
    path.write_bytes(text.replace("|", "\x01").encode())
    with pytest.raises(Unexpected):
        run(definitions, "fix44", path)


def test_runner_compares_messages(definitions: Path, tmp_path: Path) -> None:
    path = tmp_path / "right.def"
    path.write_bytes((LOGON + ANSWER).replace("|", "\x01").encode())
    assert run(definitions, "fix44", path) == 1
