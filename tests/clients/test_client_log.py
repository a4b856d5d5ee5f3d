"""A session's log holds what was sent and received, survives being cut off, and distinguishes that from damage."""

import errno
from typing import Any

import numpy as np
import pytest

from lockstep.client_log import ROW, ClientLog, ClientLogFault, ClientLogReader, Reported, Resumed, Sent
from lockstep.columns import CommandColumns
from lockstep.session_events import Checkpoint, Parcel, ReportId

SESSION = (3 << 32) + 1


class Batch:
    """What `reported` reads of report columns."""

    def __init__(self, *seqs, kind=1):
        for name in ROW.names or ():
            setattr(self, name, np.zeros(len(seqs), np.int64))
        self.seq = np.array(seqs, np.uint64)
        self.kind = np.full(len(seqs), kind, np.uint8)
        self.quantity_lots = np.arange(len(seqs)) + 5
        self.leg = np.zeros(len(seqs), np.uint8)

    def __len__(self):
        return len(self.seq)


def batch(*seqs, kind=1) -> Any:
    return Batch(*seqs, kind=kind)


def parcel(first_no, count):
    return Parcel(first_no, CommandColumns(count=count, kind=1, account=1))


@pytest.fixture
def written(tmp_path):
    with ClientLog(tmp_path, Checkpoint(SESSION), resumed=False) as log:
        log.sent((parcel(1, 3), parcel(4, 1)))
        log.reported(batch(10, 11))
    return log.path


def test_what_was_written_is_read_in_order(written) -> None:
    reader = ClientLogReader(written)
    first, second, reported = reader.blocks()
    assert reader.session_id == SESSION
    assert [(block.first_no, block.count) for block in (first, second) if isinstance(block, Sent)] == [(1, 3), (4, 1)]
    assert isinstance(reported, Reported)
    assert reported.rows["seq"].tolist() == [10, 11]
    assert reported.rows["quantity_lots"].tolist() == [5, 6]


def test_fields_of_orders_are_left_out_of_other_reports(tmp_path) -> None:
    with ClientLog(tmp_path, Checkpoint(SESSION), resumed=False) as log:
        log.reported(batch(10, kind=66))
    (reported,) = ClientLogReader(log.path).blocks()
    assert isinstance(reported, Reported)
    assert reported.rows["quantity_lots"].tolist() == [0]


def test_reader_goes_on_where_it_ended(written) -> None:
    reader = ClientLogReader(written)
    assert len(list(reader.blocks())) == 3
    assert list(reader.blocks()) == []
    with ClientLog(written.parent, Checkpoint(SESSION, last_seen=ReportId(11, 0, 0)), resumed=True) as log:
        log.sent((parcel(5, 1),))
    resumed, sent = reader.blocks()
    assert resumed == Resumed(ReportId(11, 0, 0))
    assert isinstance(sent, Sent)
    assert ClientLogReader(written, reader.offset).offset == reader.offset


def test_block_that_was_cut_short_is_left_out_and_written_over(written) -> None:
    raw = written.read_bytes()
    written.write_bytes(raw[:-5])
    assert len(list(ClientLogReader(written).blocks())) == 2
    with ClientLog(written.parent, Checkpoint(SESSION), resumed=True) as log:
        log.reported(batch(10))
    assert [type(block) for block in ClientLogReader(written).blocks()] == [Sent, Sent, Resumed, Reported]


def test_damaged_block_is_named(written) -> None:
    raw = bytearray(written.read_bytes())
    raw[-1] ^= 1
    written.write_bytes(raw)
    with pytest.raises(ClientLogFault, match="CRC"):
        list(ClientLogReader(written).blocks())


def test_log_of_another_session_is_not_continued(written) -> None:
    other = written.with_name(f"session-{SESSION + 1}.clog")
    written.rename(other)
    with pytest.raises(ClientLogFault, match=f"log of session {SESSION}"):
        ClientLog(other.parent, Checkpoint(SESSION + 1), resumed=False)


def test_file_that_is_no_log_is_refused(tmp_path) -> None:
    path = tmp_path / "x.clog"
    path.write_bytes(b"something else altogether")
    with pytest.raises(ClientLogFault, match="no client log"):
        ClientLogReader(path)


class FullDisk:
    """A file whose disk becomes full: it takes a part of what it is given, without an error, like the system's own."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, raw):
        taken = self._file.write(raw[: self._room])
        self._room -= taken
        return taken

    def close(self):
        self._file.close()


def test_disk_that_becomes_full_is_an_error_with_place_and_remedy_and_nothing_follows_the_torn_block(tmp_path) -> None:
    log = ClientLog(tmp_path, Checkpoint(SESSION), resumed=False)
    log.sent((parcel(1, 3),))
    full: Any = FullDisk(log._file, 20)
    log._file = full
    for _ in range(2):
        with pytest.raises(OSError, match="free room") as caught:
            log.sent((parcel(4, 1),))
        assert caught.value.filename == str(log.path)
        assert caught.value.errno == errno.ENOSPC
    log.close()
    (sent,) = ClientLogReader(log.path).blocks()
    assert isinstance(sent, Sent)
    assert sent.first_no == 1
