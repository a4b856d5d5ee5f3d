"""Each story of the protocol happens as its transcript says. LOCKSTEP_REWRITE_TRANSCRIPTS=1 writes them anew."""

import os
from pathlib import Path

import pytest

from lockstep.trials.stories.stage import Stage
from lockstep.trials.stories.telling import STORIES, transcript

KEPT = Path(__file__).resolve().parents[1] / "transcripts"
MOST_LINES = 64


@pytest.mark.parametrize("name", STORIES)
def test_story_happens_as_its_transcript_says(name: str) -> None:
    delivered, page = transcript(STORIES[name]), KEPT / f"{name}.txt"
    if os.environ.get("LOCKSTEP_REWRITE_TRANSCRIPTS"):
        page.write_text(delivered)
    assert page.read_text() == delivered, "if that is right, run this with LOCKSTEP_REWRITE_TRANSCRIPTS=1"


@pytest.mark.parametrize("page", sorted(KEPT.glob("*.txt")), ids=lambda page: page.stem)
def test_transcript_is_of_a_story_and_short_enough_to_be_followed(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert page.stem in STORIES
    assert lines[0].startswith("# ")
    assert len(lines) <= MOST_LINES


def test_a_story_in_which_somebody_decides_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The primary that a loss makes would be the last in the list."""
    name = "primary_lost"
    monkeypatch.setattr(
        "lockstep.sequencer.patience.Patience.steadiest_first", lambda _self, engines, _now: engines[::-1]
    )
    assert transcript(STORIES[name]) != (KEPT / f"{name}.txt").read_text()


def test_the_same_script_tells_the_same_twice() -> None:
    def delivered() -> str:
        stage = Stage()
        stage.open()
        stage.order()
        stage.until_answered()
        return stage.narrator.text()

    assert delivered() == delivered()
