"""Names for problems, solvers, learners and mathematical models, looked up lazily.

Adding one is one line here, or an entry point of the same group in anybody's package::

    [project.entry-points."offloadopt.solvers"]
    mine = "my_package.my_module:MySolver"
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from offloadopt.core import Learner, Problem, Solver
from offloadopt.errors import OffloadError, UnknownName, nearest

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "problems": {
        "multi_server": "offloadopt.problems.multi_server.problem:MultiServer",
        "carbon_mimo": "offloadopt.problems.carbon_mimo.problem:CarbonMimo",
        "partial_mobile": "offloadopt.problems.partial_mobile.problem:PartialMobile",
        "battery_d2d": "offloadopt.problems.battery_d2d.problem:BatteryD2D",
        "twin_inference": "offloadopt.problems.twin_inference.problem:TwinInference",
    },
    "solvers": {
        "exact": "offloadopt.solvers.assignment.exact:Exact",
        "exact-sharing": "offloadopt.solvers.shared_servers.exact:SharingExact",
        "grid-milp": "offloadopt.solvers.shared_servers.grid_milp:GridMilp",
        "expert": "offloadopt.solvers.assignment.expert:Expert",
        "exhaustive": "offloadopt.solvers.assignment.exhaustive:Exhaustive",
        "milp": "offloadopt.solvers.models.solver:Milp",
        "minlp": "offloadopt.solvers.models.solver:Minlp",
        "levy": "offloadopt.solvers.assignment.levy:Levy",
        "levy-classic": "offloadopt.solvers.assignment.levy:LevyClassic",
        "move-and-swap": "offloadopt.solvers.assignment.local_search:MoveAndSwap",
        "greedy": "offloadopt.solvers.assignment.baselines:Greedy",
        "random": "offloadopt.solvers.random:Random",
        "local": "offloadopt.solvers.assignment.baselines:Local",
        "dynamic-programming": "offloadopt.solvers.backlog.dynamic_programming:DynamicProgramming",
        "hindsight": "offloadopt.solvers.backlog.exact:Hindsight",
        "lyapunov": "offloadopt.solvers.backlog.lyapunov:Lyapunov",
        "greedy-local": "offloadopt.solvers.backlog.baselines:GreedyLocal",
        "greedy-offload": "offloadopt.solvers.backlog.baselines:GreedyOffload",
        "full-power": "offloadopt.solvers.backlog.baselines:FullPower",
        "all-edge": "offloadopt.solvers.task_queues.baselines:AllEdge",
        "all-mobile": "offloadopt.solvers.task_queues.baselines:AllMobile",
        "fixed-frequency": "offloadopt.solvers.task_queues.baselines:FixedFrequency",
        "deadline-greedy": "offloadopt.solvers.task_queues.baselines:DeadlineGreedy",
        "energy-queue": "offloadopt.solvers.task_queues.lyapunov:EnergyQueue",
        "queue-milp": "offloadopt.solvers.task_queues.exact:QueueMilp",
        "twin-exact": "offloadopt.solvers.inference.exact:TwinExact",
        "levy-inference": "offloadopt.solvers.inference.levy:InferenceLevy",
        "energy-deficit": "offloadopt.solvers.inference.lyapunov:EnergyDeficit",
        "selfish": "offloadopt.solvers.inference.baselines:Selfish",
        "own-cpu": "offloadopt.solvers.inference.baselines:OwnCpu",
        "in-turn": "offloadopt.solvers.inference.baselines:InTurn",
    },
    "learners": {
        "imitation": "offloadopt.learners.dirs.imitation:Imitation",
        "imitation-agents": "offloadopt.learners.behaviour_cloning:AgentImitation",
        "prices": "offloadopt.learners.pricing.prices:Prices",
        "actor-critic": "offloadopt.learners.sb3.algorithms:A2C",
        "ddpg-sb3": "offloadopt.learners.sb3.algorithms:DDPG",
        "ppo-sb3": "offloadopt.learners.sb3.algorithms:PPO",
        "dqn-sb3": "offloadopt.learners.sb3.dqn:DQN",
        "dirs": "offloadopt.learners.dirs.dirs:Dirs",
        "ppo": "offloadopt.learners.ppo.ppo:Ppo",
        "caddto-ppo": "offloadopt.learners.ppo.caddto:CaddtoPpo",
        "rmappo": "offloadopt.learners.ppo.rmappo:Rmappo",
        "ddpg": "offloadopt.learners.independent.ddpg:Ddpg",
        "dqn": "offloadopt.learners.independent.dqn:Dqn",
        "maddpg": "offloadopt.learners.maddpg.maddpg:Maddpg",
        "maddpg-cgan": "offloadopt.learners.maddpg_cgan.maddpg_cgan:MaddpgCgan",
        "federated": "offloadopt.learners.federated:Federated",
        "ddpg-discrete": "offloadopt.learners.ddpg_discrete.ddpg_discrete:DdpgDiscrete",
        "ddpg-vdn": "offloadopt.learners.vdn.ddpg:DdpgVdn",
        "dqn-vdn": "offloadopt.learners.vdn.dqn:DqnVdn",
    },
    # Pyomo builders, by the name of the problem they model (see solvers/models/).
    "models": {
        "multi_server": "offloadopt.solvers.models.multi_server:MultiServerModel",
    },
}


def names(group: str) -> dict[str, str]:
    """All names of ``group`` with where they are found; the built-in ones first, plugins after them."""
    return {**BUILT_IN[group], **_plugins(group, tuple(sys.path))}


@cache
def _plugins(group: str, path: tuple[str, ...]) -> Mapping[str, str]:
    """What packages on ``path`` add to ``group``: reading all their metadata takes too long to do it at every look."""
    found: dict[str, str] = {}
    for point in entry_points(group=f"offloadopt.{group}"):
        if point.name not in BUILT_IN[group]:
            found.setdefault(point.name, point.value)
    return found


def get(group: str, name: str) -> Any:
    """The class registered under ``name``; an unknown name is refused with the nearest known one."""
    known = BUILT_IN[group] if name in BUILT_IN[group] else names(group)
    if name not in known:
        raise UnknownName(f"no {group.removesuffix('s')} {name!r}; {nearest(name, known)}")
    module, _, attribute = known[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OffloadError(f"{group.removesuffix('s')} {name!r} ({known[name]}) cannot be loaded: {error}") from error


def problem(name: str, preset: str = "paper", **changes: Any) -> Problem[Any]:
    """A problem by name, with a preset's scenario and some fields changed."""
    kind: type[Problem[Any]] = get("problems", name)
    return kind(kind.scenario_type.preset(preset, **changes))


def solver(name: str, **options: Any) -> Solver:
    """A solver by name with its options."""
    made: Solver = get("solvers", name)(**options)
    return made


def learner(name: str, **options: Any) -> Learner:
    """A learner by name with its hyper-parameters."""
    made: Learner = get("learners", name)(**options)
    return made
