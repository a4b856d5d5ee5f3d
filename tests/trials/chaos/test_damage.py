"""Files damaged one by one: an engine that starts from them says so, refuses, or has all that it had."""

from pathlib import Path

import pytest

from lockstep.trials.chaos.damage import Outcome, Trial, Yard, run_trial, trials

ALL = trials()


@pytest.fixture(scope="module")
def yard(tmp_path_factory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))


def test_there_are_trials_of_every_kind_of_file() -> None:
    assert len(ALL) >= 60
    parts = {trial.part for trial in ALL}
    assert {"journal log", "journal table", "journal manifest", "journal CURRENT", "derived table", "snapshot",
            "witness", "data directory", "intake log", "intake table", "config record"} <= parts  # fmt: skip


def test_trial_that_starts_with_less_than_was_there_is_called_silent(yard: Yard, tmp_path: Path, monkeypatch) -> None:
    """A whole directory of the other engine under a program that does not compare: the suite must see it."""
    trial = Trial("journal log", "nothing", lambda _yard, _path: None)
    other = Yard.__new__(Yard)
    other.__dict__.update(yard.__dict__)
    other.held = type(yard.held)((), (), b"", 0, joined=True)
    outcome: Outcome = run_trial(other, trial, tmp_path / "trial")
    assert outcome.silent


@pytest.mark.parametrize("trial", ALL[::5], ids=lambda trial: f"{trial.part}: {trial.deed}")
def test_damage_is_never_used_in_silence(yard: Yard, tmp_path: Path, trial: Trial) -> None:
    outcome = run_trial(yard, trial, tmp_path / "trial")
    assert not outcome.silent, outcome.says


@pytest.mark.slow
def test_none_of_all_trials_is_silent(yard: Yard, tmp_path: Path) -> None:
    outcomes = [run_trial(yard, trial, tmp_path / str(number)) for number, trial in enumerate(ALL)]
    assert [outcome for outcome in outcomes if outcome.silent] == []
