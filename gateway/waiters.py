"""Calls that wait for the answer to one command."""

import asyncio

from lockstep.gateway.reports import ReportRows


class Waiters:
    """For one event loop. Bounded by the calls that are open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: dict[tuple[int, int], list[asyncio.Future[ReportRows]]] = {}
        self._sessions: dict[int, int] = {}  # how many of each wait

    def wait_for(self, session_id: int, number: int) -> asyncio.Future[ReportRows]:
        """The reports of one command, once they come. Register before the command is submitted."""
        future: asyncio.Future[ReportRows] = self._loop.create_future()
        self._futures.setdefault((session_id, number), []).append(future)
        self._sessions[session_id] = self._sessions.get(session_id, 0) + 1
        future.add_done_callback(lambda done: self._drop(session_id, number, done))
        return future

    def __len__(self) -> int:
        """Sessions for whose answers somebody waits."""
        return len(self._sessions)

    def __contains__(self, session_id: int) -> bool:
        """Whether somebody waits for an answer of this session."""
        return session_id in self._sessions

    def answer(self, session_id: int, reports: ReportRows) -> None:
        """Reports of a session were delivered."""
        numbers = reports.rows["session_no"]
        for number in dict.fromkeys(numbers.tolist()):
            futures = self._futures.get((session_id, number))
            if not futures:
                continue
            mine = numbers == number
            first_seq = reports.rows["seq"][mine][0]
            mine &= reports.rows["seq"] == first_seq
            answer = ReportRows(reports.rows[mine], reports.legs[mine])
            for future in list(futures):
                if not future.done():
                    future.set_result(answer)

    def cancel(self) -> None:
        """Nobody gets an answer here any more."""
        for futures in list(self._futures.values()):
            for future in list(futures):
                future.cancel()

    def _drop(self, session_id: int, number: int, future: asyncio.Future[ReportRows]) -> None:
        futures = self._futures.get((session_id, number), [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._futures.pop((session_id, number), None)
        left = self._sessions[session_id] - 1
        if left:
            self._sessions[session_id] = left
        else:
            del self._sessions[session_id]
