"""JSON schemas accept what the template writes, and refuse what the reader refuses."""

from __future__ import annotations

import json

import pytest

from offloadopt import registry
from offloadopt.own_instances import document
from offloadopt.own_instances.schema import general_schema, schema_of

from toys.small_problems import SMALL

jsonschema = pytest.importorskip("jsonschema")


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_documents_satisfy_both_schemas(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    content = json.loads(json.dumps(document.encode(problem, problem.sample(1, seed=0))))
    for schema in (general_schema(), schema_of(problem)):
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(content, schema)


def test_a_wrong_shape_unit_name_or_value_satisfies_none() -> None:
    problem = registry.problem("multi_server", users=3)
    content = json.loads(json.dumps(document.encode(problem, problem.sample(1, seed=0))))
    bits = content["arrays"]["task_bits"]
    for wrong in ({"values": [[1.0, 2.0]]}, {"unit": "Mbit"}, {"values": [[-1.0, 1.0, 1.0]]}, {"worth": 1}):
        broken = {**content, "arrays": {**content["arrays"], "task_bits": {**bits, **wrong}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema_of(problem))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "arrays": {}}, general_schema())


def test_a_schema_says_what_each_array_is() -> None:
    arrays = schema_of(registry.problem("battery_d2d"))["properties"]["arrays"]["properties"]
    assert arrays["deadline_s"]["description"] == (
        "deadline, from the slot's begin, in s; shape: instances x 100 slots x 8 users"
    )
