"""The page's frames are protobuf's, its message tables are current, and a gap is what lies between releases."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lockstep.edge.http import page_messages
from lockstep.edge.http.page_frames import answer, failure, page_frame, varint
from lockstep.edge.http.release_gap import ReleaseGap
from lockstep.edge.http.site import FOLDER, read_site
from lockstep.v1 import accounts_pb2, feed_pb2, page_pb2

ROOT = Path(__file__).parents[3]
MOST_SCRIPT_BYTES = 400_000


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 300, 70_000])
def test_frames_are_what_protobuf_would_write(size: int) -> None:
    inner = feed_pb2.FeedFrame(closing=feed_pb2.Closing(code=1, reason="x" * size))
    expected = page_pb2.PageFrame(feed=inner).SerializeToString()
    assert page_frame("feed", inner.SerializeToString()) == expected
    reply = accounts_pb2.GetAccountReply(account=accounts_pb2.Account(name="x" * size))
    told = page_pb2.PageFrame.FromString(answer(7, "account", reply.SerializeToString()))
    assert told == page_pb2.PageFrame(answer=page_pb2.Answer(id=7, account=reply))
    assert page_pb2.PageFrame.FromString(failure(8, 1102, "busy", 5)).answer.failure.text == "busy"


def test_numbers_of_any_length() -> None:
    assert [varint(number) for number in (0, 127, 128, 300)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xac\x02"]


def test_the_pages_message_tables_are_current() -> None:
    assert page_messages.FILE.read_text() == page_messages.script(), "run: python -m lockstep.edge.http.page_messages"


def test_scripts_stay_small_and_name_no_other_host() -> None:
    scripts = {path: file for path, file in read_site().items() if path.endswith(".js")}
    assert sum(len(file.body) for file in scripts.values()) <= MOST_SCRIPT_BYTES
    for path, file in read_site().items():
        if not path.startswith("/vendor/"):
            named = set(re.findall(r"""["'(](?:https?:)?//[^"')]*""", file.body.decode()))
            # A link that a user may follow, which the charts' licence asks for, and a namespace.
            assert {one[1:] for one in named} <= {"https://www.tradingview.com/", "http://www.w3.org/2000/svg"}, path


def test_each_vendored_file_has_its_licence() -> None:
    for script in (FOLDER / "vendor").glob("*.js"):
        name = {"htm-preact": "htm"}.get(script.stem, script.stem)
        assert (script.parent / f"{name}.LICENSE.txt").exists(), script.name
    notice = (FOLDER / "vendor" / "NOTICE.txt").read_text()
    for name in ("Preact", "htm", "Lightweight Charts", "pbf"):
        assert name in notice


def test_a_gap_is_between_the_last_release_of_an_epoch_and_the_first_of_the_next() -> None:
    gap = ReleaseGap()
    assert not gap.on_release(3, 1_000, 10)
    assert not gap.on_release(3, 2_000, 20)
    assert gap.last is None
    assert gap.on_release(5, 9_000, 90)
    assert gap.last is not None
    assert (gap.last.from_epoch, gap.last.to_epoch, gap.last.gap_ns, gap.last.at_ns) == (3, 5, 7_000, 90)
    # A release of the old primary that comes late is none of this.
    assert not gap.on_release(3, 9_500, 95)
    assert gap.on_release(6, 11_000, 110)
    assert gap.last.gap_ns == 2_000


def test_the_pages_scripts_do_what_they_promise() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("SKIPPED: node is not on the PATH, so the page's session, book and ticket are not tried alone")
    files = sorted((ROOT / "tests/edge/http/www").glob("*.test.mjs"))
    assert files
    done = subprocess.run([node, "--test", *map(str, files)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-8_000:]
