"""Federated learning for any learner whose agents can have networks of their own.

The four ways of Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), Fig. 10, over the same learner:

* ``none``: every agent learns alone;
* ``centralised``: one network is trained on all agents' experience;
* ``average``, ``personalised``, ``literal``: agents share weights, see `weight_aggregation`.

Curves record communication in bytes, 4 for each number: the weights that are exchanged, and the experience
``(o, a, r, o')`` that a central learner would collect. Messages of the learner's own between its agents, as in
`maddpg`, are counted by it in ``communication/sent_bytes`` and ``communication/delivered_bytes``. The policy is that of
the wrapped learner.

Demonstrations are divided as experience is: each agent's networks imitate its own decisions in its own views, and share
weights meanwhile; ``centralised`` imitates those of all agents. Where they were collected is not known, so that their
own bytes are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from offloadopt import registry
from offloadopt.core import Learner, Policy, Problem, Record
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface
from offloadopt.learners.common.weight_aggregation import Federable, Federation
from offloadopt.quantities import Rounds
from offloadopt.structures.agents import AgentProblem


class Federated(Learner):
    """Federated learning: train any learner with one network per agent and a rule that shares weights."""

    name = "federated"
    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]

    learner: str = Field("maddpg", description="the learner that is wrapped")
    options: Mapping[str, Any] = Field(default_factory=dict, description="its options, but for shared and federation")
    rule: Literal["none", "centralised", "average", "personalised", "literal"] = Field(
        "personalised", description="how weights are shared"
    )
    every: Rounds = Field(10, ge=1, description="updates between two exchanges of weights")
    first_share: float = Field(0.5, gt=0, lt=1, description="tau_t of (24) at the beginning; it falls to 0")

    @cached_property
    def wrapped(self) -> Federable:
        """The learner with its federation rule."""
        kind = registry.get("learners", self.learner)
        if not issubclass(kind, Federable):
            known = ", ".join(
                n for n in registry.names("learners") if issubclass(registry.get("learners", n), Federable)
            )
            raise InvalidInput(f"learner = {self.learner!r}; allowed: those with networks for each agent, {known}")
        reserved = {"shared", "federation"} & set(self.options)
        if reserved:
            raise InvalidInput(f"options hold {min(reserved)!r}; it follows from rule = {self.rule!r}")
        federation = None
        if self.rule in ("average", "personalised", "literal"):
            federation = Federation(rule=self.rule, every=self.every, first_share=self.first_share)
        return cast(Federable, kind(**self.options, shared=self.rule == "centralised", federation=federation))

    @property
    def policy_type(self) -> type[Policy]:  # type: ignore[override]
        """That of the wrapped learner."""
        return self.wrapped.policy_type

    @property
    def uses_demonstrations(self) -> bool:  # type: ignore[override]
        """That of the wrapped learner."""
        return self.wrapped.uses_demonstrations

    def default_steps(self, problem: Problem[Any]) -> int:
        """Those of the wrapped learner."""
        return self.wrapped.default_steps(problem)

    def require(self, problem: Problem[Any]) -> None:
        """Refuse what the wrapped learner refuses."""
        super().require(problem)
        self.wrapped.require(problem)

    def fit(self, problem: Problem[Any], *, record: Record | None = None, **options: Any) -> Any:
        """Train the wrapped learner; parameters as it takes them."""
        self.require(problem)
        collected = self._experience_bytes(cast(AgentProblem[Any], problem)) if self.rule == "centralised" else 0.0

        def counted(step: int, found: Mapping[str, float]) -> None:
            if record is not None:
                record(step, {**found, "communication/collected_bytes": collected * step})

        return self.wrapped.fit(problem, record=None if record is None else counted, **options)

    def _experience_bytes(self, problem: AgentProblem[Any]) -> float:
        """Bytes per decision that an agent sends to a centre: view, action, reward; one more view per episode."""
        controls = getattr(self.wrapped, "controls", None)
        interface = AgentInterface(problem, getattr(self.wrapped, "view", None), controls)
        views = interface.view_bytes * (problem.horizon + 1) / problem.horizon
        return views + interface.action_bytes + NUMBER_BYTES
