"""The cluster's uuid in two integers and back."""

import pytest

from lockstep.stream.identity import join_uuid, split_uuid


@pytest.mark.parametrize(
    "text",
    ["c1a5e000-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000001", "f" * 8 + "-ffff" * 4 + "f" * 8],
)
def test_uuid_survives_being_split_and_joined(text: str) -> None:
    high, low = split_uuid(text)
    assert 0 <= high < 2**64
    assert 0 <= low < 2**64
    assert join_uuid(high, low) == text


def test_two_zeros_name_no_cluster() -> None:
    assert join_uuid(0, 0) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my-cluster",
        "C1A5E000-0000-4000-8000-000000000001",
        "c1a5e00000004000800000000000001",
        "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    ],
)
def test_text_that_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="uuid"):
        split_uuid(text)
