"""docs/engine-alone.md does what it says, with both engines and in C++; so does the example that it names."""

import re
import subprocess
from pathlib import Path

import pytest

from lockstep.engine import MatchingEngine, ReferenceEngine

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"(?m)^```(\w+)\n([\s\S]*?)^```", (ROOT / "docs/engine-alone.md").read_text())
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]


def in_words(text: str, engine: str) -> str:
    """A block as a reader has it who chose this engine; sizes are the native engine's."""
    if engine == "native":
        return text
    sizes = r",? ?Sizes\(orders=100_000\)"
    return re.sub(r"(?<!import )NativeEngine(?=[(.])", "ReferenceEngine", re.sub(sizes, "", text))


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_reader_of_the_page_sees_what_it_promises(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"ReferenceEngine": ReferenceEngine}
    for language, text in BLOCKS:
        if language == "python":
            exec(in_words(text, engine), names)
    chosen = names["engine"]
    assert type(chosen).__name__ == ("NativeEngine" if engine == "native" else "ReferenceEngine")
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == ["INSTRUMENT_DEFINED 0", "ACCOUNT_DEFINED 0", "ACCOUNT_DEFINED 0", "CASH_ADJUSTED 0"]
    assert "3 lots at 10150, maker 5" in said
    # The message that the page quotes is the one that comes.
    (quoted,) = re.findall(r"print\(error\)  # (.*)", "".join(text for _, text in BLOCKS))
    assert quoted in said
    assert said[-2:] == ["10150 12 30", "10160 0 7"]


def compiled(source: Path, folder: Path) -> str:
    """What a program with the core says."""
    program = folder / "program"
    include = f"-I{ROOT}/engine/native/include"
    subprocess.run(["c++", "-std=c++20", "-O0", *STRICT, include, source, "-o", program], check=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def test_the_program_in_the_page_compiles_and_runs(tmp_path: Path) -> None:
    (text,) = [text for language, text in BLOCKS if language == "cpp"]
    source = tmp_path / "page.cpp"
    source.write_text(text)
    assert compiled(source, tmp_path).splitlines() == [
        "event of kind 64, code 0",
        "event of kind 65, code 0",
        "event of kind 1, code 0",
        "ask 10150",
        "equal",
    ]


@pytest.mark.slow
def test_the_example_says_what_stands_in_the_book_before_and_after_a_snapshot(tmp_path: Path) -> None:
    said = compiled(ROOT / "engine/native/example.cpp", tmp_path)
    assert "ask 101: 2 lots displayed, 4 hidden\nask 103: 5 lots displayed, 0 hidden\n" in said
    assert "next to trade is order 6 with 6 lots open\n" in said
    assert "command 9 was refused with code 3002\n" in said
    assert said.endswith("order 10 bought 1 lots at 101 from order 6\nask 103: 5 lots displayed, 0 hidden\n")


def test_queries_of_the_page_are_those_of_the_contract() -> None:
    page = "".join(line for line in (ROOT / "docs/engine-alone.md").read_text().splitlines() if line.startswith("| `"))
    for name in ("best", "book", "depth", "queue", "order", "order_by_client_id", "open_orders", "account", "accounts"):
        assert f"`{name}(" in page
        assert hasattr(MatchingEngine, name)
