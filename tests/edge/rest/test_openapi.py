"""The OpenAPI document: valid, of the protocol's descriptors, and current."""

import json
from pathlib import Path

import pytest

from lockstep.edge.rest.openapi import MESSAGES
from lockstep.edge.rest.operations import OPERATIONS, PREFIX
from lockstep.edge.rest.shapes import LEFT_OUT, fields_of

PAGE = Path(__file__).resolve().parents[3] / "edge/rest/openapi.json"


@pytest.fixture(scope="module")
def page():
    return json.loads(PAGE.read_text())


def test_it_is_valid_openapi_3_1(page):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(page)
    assert page["openapi"].startswith("3.1")


def test_every_operation_and_no_other_is_in_it(page):
    described = {(method.upper(), path) for path, methods in page["paths"].items() for method in methods}
    assert described == {(one.method, PREFIX + one.path) for one in OPERATIONS}


def test_schemas_have_the_fields_of_the_messages_with_their_comments(page):
    for name, message in MESSAGES.items():
        shown = page["components"]["schemas"][name]
        assert list(shown["properties"]) == [field.name for field in fields_of(message)], name
        assert len(shown["properties"]) + sum(one.startswith(message.full_name) for one in LEFT_OUT) == len(
            message.fields
        )
    report = page["components"]["schemas"]["ExecutionReport"]
    assert "maker's" in report["properties"]["price"]["description"]
    assert page["components"]["schemas"]["Position"]["properties"]["reserved_lots"]["description"]


def test_every_reference_leads_somewhere(page):
    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for one in value.values():
                yield from walk(one)
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)

    wanted = {one.removeprefix("#/components/schemas/") for one in walk(page)}
    assert wanted <= set(page["components"]["schemas"])
    assert set(page["components"]["schemas"]) - wanted == set(), "nothing that nobody uses"
