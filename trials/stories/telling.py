"""All stories, and their transcripts: a heading, what to look at, and what happened."""

from collections.abc import Callable
from inspect import getdoc
from typing import Final

from lockstep.trials.stories import clients, engines, operators, takeovers
from lockstep.trials.stories.stage import Stage

Story = Callable[[], Stage]
STORIES: Final[dict[str, Story]] = {
    story.__name__: story for room in (takeovers, engines, operators, clients) for story in room.STORIES
}
_COLUMNS: Final = f"{'ms':>8}  {'who':<16}what\n"


def transcript(story: Story) -> str:
    """Play a story; its page."""
    heading, _, rest = (getdoc(story) or "").partition("\n")
    text = "".join(f"# {line}".rstrip() + "\n" for line in (heading, "", *rest.strip().splitlines()))
    return f"{text}\n{_COLUMNS}{story().narrator.text()}"
