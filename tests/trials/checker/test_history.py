"""Histories come back from their files as they were, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.trials.checker.history import HistoryDamaged, heard_times, load_histories, save_history


def test_histories_come_back_as_they_were_saved(good_run: Any, tmp_path: Path) -> None:
    for number, history in enumerate(good_run.histories):
        save_history(tmp_path, f"session-{number}", history)
    loaded = load_histories(tmp_path)
    for before, after in zip(good_run.histories, loaded, strict=True):
        assert (before.session_id, before.account, before.complete) == (after.session_id, after.account, after.complete)
        assert np.array_equal(before.sent, after.sent)
        assert np.array_equal(before.seen, after.seen)
    assert (np.diff(heard_times(loaded)) >= 0).all()


def test_a_history_that_was_cut_is_refused(good_run: Any, tmp_path: Path) -> None:
    save_history(tmp_path, "one", good_run.histories[0])
    file = tmp_path / "one.seen"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(HistoryDamaged, match="run again"):
        load_histories(tmp_path)
    file.unlink()
    with pytest.raises(HistoryDamaged, match="run again"):
        load_histories(tmp_path)
