"""Tables become arrays by the numbers in their rows; every gap and every double is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.own_instances import tables

from toys.small_problems import SMALL

PROBLEM = registry.problem("multi_server", users=2)
PATH = Path("t.csv")


def decode(**columns: list[float]) -> dict[str, np.ndarray]:
    return tables.decode({name.replace("__", "."): np.array(c) for name, c in columns.items()}, PROBLEM, PATH)


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_written_tables_read_back_bit_for_bit(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    instances = problem.sample(2, seed=0)
    found: dict[str, np.ndarray] = {}
    for columns in tables.encode(problem, instances).values():
        found |= tables.decode(columns, problem, PATH)
    assert found.keys() == instances.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, instances[name])


def test_rows_come_in_any_order_and_components_in_columns_of_their_own() -> None:
    found = decode(instance=[1, 0, 1, 0], user=[1, 1, 0, 0], task_bits=[4, 2, 3, 1], user_m__x=[8, 6, 7, 5],
                   user_m__y=[40, 20, 30, 10])  # fmt: skip
    np.testing.assert_array_equal(found["task_bits"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(found["user_m"], [[[5, 10], [6, 20]], [[7, 30], [8, 40]]])


def test_what_a_table_does_not_number_is_repeated() -> None:
    arrays = {**decode(user=[0, 1], task_bits=[1, 2]), **decode(instance=[0, 1], task_cycles=[5, 6])}
    found = tables.repeated(arrays, list(arrays), PROBLEM)
    np.testing.assert_array_equal(found["task_bits"], [[1, 2], [1, 2]])
    np.testing.assert_array_equal(found["task_cycles"], [[5, 5], [6, 6]])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": [0, 1], "taskbits": [1, 2]}, "t.csv: unknown column 'taskbits'; did you mean 'task_bits'?"),
        ({"user": [0, 0], "task_bits": [1, 2]}, "t.csv has 2 rows for instance 0, user 0; allowed: 1"),
        ({"user": [1, 2], "task_bits": [1, 2]}, "t.csv has 0 rows for instance 0, user 0; allowed: 1 (numbers begin"),
        ({"user": [0, 1.5], "task_bits": [1, 2]}, "t.csv: user is 1.5; allowed: 0, 1, 2"),
        ({"user": [0, -1], "task_bits": [1, 2]}, "t.csv: user is -1; allowed"),
        ({"user": [0, 1e300], "task_bits": [1, 2]}, "t.csv: user is 1e+300; allowed"),
        ({"user": [0, float("nan")], "task_bits": [1, 2]}, "t.csv: user is nan; allowed"),
        ({"user": [0, 9e6], "instance": [0, 9e6], "task_bits": [1, 2]}, "user up to 9000000; allowed: a row for each"),
        ({"server": [0, 1], "task_bits": [1, 2]}, "'task_bits' has no server; allowed: columns instance, user"),
        ({"user": [0, 1], "user_m__x": [1, 2]}, "t.csv: column 'user_m.y' is missing"),
    ],
)
def test_what_is_wrong_is_named(columns: dict[str, list[float]], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(**columns)
    assert message in str(error.value)
