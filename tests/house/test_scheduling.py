"""In which order `make test` runs what there is."""

from itertools import pairwise

from tests.scheduling import ordered, scope_of

FILES = [f"tests/ops/test_{name}.py::test_{number}" for name in "abcdefgh" for number in range(3)]
SHARED = [f"tests/edge/rest/owasp/test_api{number}.py::test_it" for number in range(4)]
COMPUTED = [f"tests/engine/test_orders.py::test_it[{number}]" for number in range(100)]


def test_every_test_runs_once_those_of_a_file_together_as_they_stand_there() -> None:
    run = ordered([*FILES, *COMPUTED, *SHARED])
    assert sorted(run) == sorted([*FILES, *COMPUTED, *SHARED])
    scopes = [scope_of(nodeid) for nodeid in run]
    for scope in set(scopes):
        first = scopes.index(scope)
        assert scopes[first : first + scopes.count(scope)] == [scope] * scopes.count(scope)
    for name in "abcdefgh":
        assert [one for one in run if f"test_{name}.py" in one] == [one for one in FILES if f"test_{name}.py" in one]


def test_files_are_spread_over_the_run_and_what_only_computes_is_last() -> None:
    run = ordered([*COMPUTED, *FILES])
    places = [at for at, nodeid in enumerate(run) if nodeid in FILES]
    assert places[0] < len(run) // 8
    assert len(run) // 2 < places[-1] < len(run) - 5
    assert max(later - earlier for earlier, later in pairwise(places)) < 20


def test_files_alone_and_computed_tests_alone_are_ordered_too() -> None:
    assert sorted(ordered(FILES)) == sorted(FILES)
    assert sorted(ordered(COMPUTED)) == sorted(COMPUTED)
    assert ordered([]) == []
