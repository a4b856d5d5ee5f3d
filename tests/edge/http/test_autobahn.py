"""The WebSocket judged by Autobahn's fuzzing client: framing, fragments, UTF-8, pings, close codes (RFC 6455)."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lockstep.edge.http import websocket
from lockstep.edge.http.frames import BINARY, TEXT, frame_of
from lockstep.edge.http.websocket import SocketWriter, WebSocketDoor
from lockstep.marketdata import feed_hub
from lockstep.marketdata.feed_events import Refusal
from lockstep.ops.local.ports import free_ports
from lockstep.runtime.topology import Principal

from .test_websocket import Shell

INSTALLED = Path(__file__).parents[3] / "build/tools/autobahn"
NOT_JUDGED = ["9.*", "12.*", "13.*"]
"""How much of large messages a second, and compression, which the feed does not offer."""
NOT_STRICT = {"7.9.5"}
"""A close code of 1015, which nobody may send: aiohttp takes it, and answers with it (aiohttp 3.14)."""
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
PATIENCE_S = 240


class EchoDoor(WebSocketDoor):
    """The door as it is, but for what it does with a whole message: it says the same, the way the feed speaks."""

    def _on_message(self, writer: SocketWriter, message: Any, principal: Principal) -> Refusal | None:
        del principal
        kind, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        writer._transport.write(frame_of(payload, kind))
        return None


@pytest.mark.slow
def test_every_case_of_the_fuzzing_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (INSTALLED / "python-path").exists():
        pytest.skip("AUTOBAHN IS NOT INSTALLED: the WebSocket was NOT judged; run ops/setup/get-tools autobahn")
    # It sends more at once than any client of a feed may.
    monkeypatch.setattr(websocket, "MESSAGE_BURST", 100_000)
    # And expects nothing but its own words.
    monkeypatch.setattr(feed_hub, "HEARTBEAT_NS", 3_600 * 10**9)

    async def run() -> None:
        shell = Shell()
        door = EchoDoor(shell)  # type: ignore[arg-type]
        (port,) = free_ports(1)
        await door.open("127.0.0.1", port)
        plan = {
            "outdir": str(tmp_path / "reports"),
            "servers": [{"agent": "lockstep", "url": f"ws://127.0.0.1:{port}/feed"}],
            "cases": ["*"],
            "exclude-cases": NOT_JUDGED,
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        # Some of its libraries share a package, which a folder has to be declared for.
        start = f"import site; site.addsitedir({str(INSTALLED)!r}); from autobahntestsuite.wstest import run; run()"
        python = (INSTALLED / "python-path").read_text().strip()
        process = await asyncio.create_subprocess_exec(
            python, "-c", start, "-m", "fuzzingclient", "-s", str(tmp_path / "plan.json"),
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            for task in shell.tasks:
                task.cancel()
            await door.close()
        assert process.returncode == 0, output.decode()[-2000:]

    asyncio.run(run())
    verdicts = json.loads((tmp_path / "reports/index.json").read_text())["lockstep"]
    wrong = {case for case, said in verdicts.items() if {said["behavior"], said["behaviorClose"]} - set(GOOD)}
    assert len(verdicts) > 240
    assert wrong <= NOT_STRICT, [f"{case}: {verdicts[case]}" for case in sorted(wrong - NOT_STRICT)]
