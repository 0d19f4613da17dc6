"""Classes of tries: each makes a try of a random generator. Others' faults live in `toys`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fuzz import folders, proofs, values
from fuzz.tries import DONE, FAILED, NO_SOLUTION, WRONG_USAGE, Try
from offloadopt import registry

from toys.small_problems import SMALL

PROBLEMS = tuple(SMALL)
HUGE = ("9999999999", "1000000000000", "99999999999999999999999", "1" + "0" * 400, "-1", "0", "1e3", "1_000", "nan", "")


def scenarios(rng: random.Random) -> Try:
    """Fields of scenarios, from the least to the largest that is allowed and beyond, in every solver."""
    problem = rng.choice(PROBLEMS)
    presets = list(registry.get("problems", problem).scenario_type.presets)
    preset = [("--preset", rng.choice(presets))] if rng.random() < 0.2 else []
    solver = values.solver(rng, problem)
    return Try(
        arguments=(
            ("solve", problem, "--json"),
            *values.named(solver),
            ("--time-limit", "0.3"),
            ("--seed", str(rng.randrange(1000))),
            *preset,
            *values.small(problem),
            *values.scenario_changes(rng, problem),
        )
    )


def options(rng: random.Random) -> Try:
    """Options of solvers."""
    problem = rng.choice(PROBLEMS)
    solver = values.solver(rng, problem)
    fields = values.solver_type(problem, solver).model_fields
    some = rng.sample(list(fields), min(len(fields), rng.randint(1, 2)))
    given = [("--option", f"{name}={values.field_value(rng, fields[name])}") for name in some]
    wrong = [("--option", rng.choice(("x", "=", "a=b", "time_limit_s=-1", "=" * 4000)))] if rng.random() < 0.1 else []
    return Try(
        arguments=(
            ("solve", problem, "--json"),
            ("--solver", solver),
            ("--time-limit", rng.choice(("0.3", "0.3", "1e-9", "0", "nan", "-1", "1e308"))),
            *([("--relative-gap", rng.choice(("0", "1e-3", "-1", "nan", "1e308")))] if rng.random() < 0.3 else []),
            *values.small(problem),
            *given,
            *wrong,
        ),
        limit_s=60.0,
    )


def counts(rng: random.Random) -> Try:
    """Counts, seeds and sizes that no machine has: refused before anything is allocated."""
    problem = rng.choice(PROBLEMS)
    command = rng.choice(("solve", "compare", "demos", "train"))
    size = [rng.choice((("--count", rng.choice(HUGE)), ("--seed", rng.choice(HUGE))))]
    if command == "train":
        learner = rng.choice(values.served(problem, "learners"))
        head = (("train", problem, "--out", "out"), ("--learner", learner), ("--steps", rng.choice(HUGE)))
        size = [("--seed", rng.choice(HUGE)), ("--seconds", rng.choice(("0.1", "-1", "nan", "0")))]
    elif command == "demos":
        head = (("demos", problem, "--out", "out"), ("--solver", "random"), ("--count", "2"))
    elif command == "compare":
        head = (("compare", problem, "--json"), ("--method", "random"), ("--count", "2"))
    else:
        head = (("solve", problem, "--json"), ("--solver", "random"), ("--count", "1"))
    fields = [name for name in SMALL[problem] if name not in ("tasks_max",)]
    sizes = [("--set", f"{rng.choice(fields)}={rng.choice(HUGE)}")] if rng.random() < 0.5 else size
    if command == "train" and sizes is not size:
        sizes.append(("--seconds", "0.1"))
    return Try(arguments=(*head, *values.small(problem), *sizes), limit_s=60.0)


def instances(rng: random.Random) -> Try:
    """A user's own instances with numbers of all magnitudes."""
    problem = rng.choice(PROBLEMS)
    made = registry.problem(problem, **SMALL[problem])
    content: dict[str, Any] = {name: array.tolist() for name, array in made.sample(1, rng.randrange(100)).items()}
    for _ in range(rng.randint(1, 2)):
        _spoil(rng, content, rng.choice(list(content)))
    return Try(
        arguments=(
            ("solve", problem, "--json", "--input", "mine.json"),
            *values.named(values.solver(rng, problem)),
            ("--time-limit", "0.3"),
            *values.small(problem),
        ),
        files={"mine.json": content},
        statuses=(DONE, FAILED, WRONG_USAGE, NO_SOLUTION),
    )


def _spoil(rng: random.Random, content: dict[str, Any], name: str) -> None:
    """Change some entries of an array, its shape, or its presence."""
    with np.errstate(over="ignore"):
        _spoil_array(rng, content, name)


def _spoil_array(rng: random.Random, content: dict[str, Any], name: str) -> None:
    array = np.array(content[name], dtype=np.float64)
    kind = rng.random()
    if kind < 0.05:
        del content[name]
    elif kind < 0.1:
        content[name] = array[..., None].tolist()
    elif kind < 0.15:
        content[rng.choice(("gian", "x" * 2000, "\x1b[31m"))] = [1]
    elif kind < 0.5:
        content[name] = (array * 10.0 ** rng.randint(-15, 15)).tolist()
    else:
        flat = array.reshape(-1)
        for at in rng.sample(range(flat.size), min(flat.size, rng.randint(1, 4))):
            flat[at] = rng.choice((0.0, 1.0, -1.0, 1e-300, 1e300, float(flat[at]) * 10.0 ** rng.randint(-12, 12)))
        content[name] = array.tolist()


# fmt: off
THINGS = (
    "None", "3", "-1", "10**20", "1.5", "'x'", "b'x'", "[]", "{}", "object()", "float('nan')", "True", "problem",
    "solver", "problem.sample(1, seed=0)", "['exact', 'local']", "np.zeros(3)", "Path('nowhere')", "print", "int",
)
# fmt: on
CALLS = (
    "offloadopt.solve({0}, {1}, {2})",
    "offloadopt.solve(problem, {0}, 'random')",
    "offloadopt.solve(problem, problem.sample(1, seed=0), {0})",
    "offloadopt.solve(problem, problem.sample(1, seed=0), 'random', seed={0})",
    "offloadopt.solve(problem, problem.sample(1, seed=0), 'random', time_limit_s={0})",
    "offloadopt.problem({0})",
    "offloadopt.problem('multi_server', {0})",
    "offloadopt.problem('multi_server', users={0})",
    "offloadopt.solver({0})",
    "offloadopt.solver('random', problem={0})",
    "offloadopt.compare(problem, {0}, {1})",
    "offloadopt.compare(problem, ['random'], 2, seed={0})",
    "offloadopt.compare(problem, ['random'], 2, reference={0})",
    "offloadopt.collect(problem, {0}, count=1, folder='demos')",
    "offloadopt.collect(problem, 'random', count={0}, folder='demos')",
    "offloadopt.collect(problem, 'random', count=1, folder={0})",
    "offloadopt.collect(problem, 'random', count=1, folder='demos', workers={0})",
    "offloadopt.collect(problem, 'random', count=1, folder='demos', seed={0})",
    "offloadopt.train(problem, {0}, steps=1)",
    "offloadopt.train(problem, 'prices', steps={0}, seconds=0.01)",
    "offloadopt.train(problem, 'prices', seconds={0})",
    "offloadopt.train(problem, 'prices', steps=1, seed={0})",
    "offloadopt.train(problem, 'prices', steps=1, demonstrations={0})",
    "offloadopt.load_policy({0}, problem)",
    "offloadopt.available({0})",
    "problem.sample({0}, seed=0)",
    "problem.sample(1, seed={0})",
    "problem.check_instances({0})",
    "problem.check_decisions({0}, 1)",
)


def calls(rng: random.Random) -> Try:
    """The Python interface with arguments of wrong types."""
    call = rng.choice(CALLS).format(*(rng.choice(THINGS) for _ in range(3)))
    head = "import numpy as np; import offloadopt; from pathlib import Path"
    made = "problem = offloadopt.problem('multi_server', users=3); solver = offloadopt.solver('random')"
    return Try(code=f"{head}; {made}; {call}", statuses=(DONE, FAILED, WRONG_USAGE), limit_s=60.0)


CLASSES: Mapping[str, Callable[[random.Random], Try]] = {
    "scenarios": scenarios,
    "options": options,
    "counts": counts,
    "instances": instances,
    "proofs": proofs.proofs,
    "calls": calls,
    "damaged": folders.damaged,
    "tampered": folders.tampered,
    "kills": folders.kills,
    "interrupts": folders.interrupts,
}


def make(name: str, seed: int, number: int) -> Try:
    """Make try ``number`` of a class: the same seed gives the same try."""
    return CLASSES[name](random.Random(f"{seed}/{name}/{number}"))
