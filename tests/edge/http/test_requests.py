"""What a client says over a WebSocket."""

import pytest

from lockstep.edge.http.requests import request_of
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.stream.codes import Code

_KIND = "the field {} does not have a value of its kind, or one out of range"


@pytest.mark.parametrize("text", ["", "null", "1", "[]", '"x"'])
def test_text_that_is_no_object_is_refused_in_words(text: str) -> None:
    with pytest.raises(FeedRefused, match="text is a JSON object here") as refused:
        request_of(text)
    assert refused.value.code is Code.MALFORMED_BATCH


def test_an_object_is_read_with_space_before_it() -> None:
    assert request_of(' \n{"ping": "7"}').ping == 7


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ('{"subscribe": {"feed": {}}}', _KIND.format("feed")),
        ('{"subscribe": {"feed": [1]}}', _KIND.format("feed")),
        ('{"subscribe": {"instruments": [{}]}}', _KIND.format("instruments")),
        ('{"subscribe": {"depth": -1}}', _KIND.format("depth")),
        ('{"subscribe": 5}', _KIND.format("subscribe")),
        ('{"subscribe": {"feed": "NOPE"}}', "the field feed has no value 'NOPE'"),
        ('{"subscribe": {"x": 1}}', "there is no field 'x'"),
        (f'{{"{"x" * 5_000}": 1}}', f"there is no field '{'x' * 40}'"),
        ('{"subscribe": {}, "ping": 1}', "it asks for several things; send one message for each"),
        ('{"ping": 1, "ping": 2}', "it is not JSON, or says something twice"),
        ('{"subscribe', "it is not JSON, or says something twice"),
        (b"\xff", "it is neither a JSON object nor a message of that type"),
    ],
)
def test_a_request_of_the_wrong_form_is_refused_in_words_about_it(message: bytes | str, why: str) -> None:
    with pytest.raises(FeedRefused) as refused:
        request_of(message)
    assert (refused.value.code, str(refused.value)) == (Code.MALFORMED_BATCH, f"no FeedRequest: {why}")
