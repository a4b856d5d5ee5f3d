"""What a client says over a WebSocket."""

import pytest

from lockstep.edge.http.requests import request_of
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.stream.codes import Code


@pytest.mark.parametrize("text", ["", "null", "1", "[]", '"x"'])
def test_text_that_is_no_object_is_refused_in_words(text: str) -> None:
    with pytest.raises(FeedRefused, match="text is a JSON object here") as refused:
        request_of(text)
    assert refused.value.code is Code.MALFORMED_BATCH


def test_an_object_is_read_with_space_before_it() -> None:
    assert request_of(' \n{"ping": "7"}').ping == 7
