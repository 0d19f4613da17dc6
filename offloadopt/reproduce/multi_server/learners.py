"""Table III: DIRS, Actor-Critic and DDPG with equal numbers of samples, and with equal time."""

from __future__ import annotations

from collections.abc import Iterable

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, ascending
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.study import AS_TRAINED, DIRS, REFERENCES, MultiServerStudy, spent
from offloadopt.reproduce.summary import REPLICATE, values

SAMPLES, SECONDS, NONE = "equal samples", "equal seconds", "none"
ACTOR_CRITIC, DDPG = "actor-critic", "ddpg-sb3"
LEARNERS = {
    DIRS: plots.Style("DIRS", plots.BLUE, "", "o"),
    ACTOR_CRITIC: plots.Style("Actor-Critic", plots.VERMILION, "", "s"),
    DDPG: plots.Style("DDPG", plots.PURPLE, "", "^"),
}
PUBLISHED = {
    "train_cpu_s": (2970.84, 3482.72, 3823.15),
    "decision_s": (0.0165, 0.0195, 0.0192),
    "reward": (0.0348, 0.0309, 0.0317),
}
"""Published values of DIRS, Actor-Critic and DDPG."""
NEAR = 0.01
"""A reward this close to the published one, relative to it, counts as the same."""


def learners_table(study: MultiServerStudy) -> Artefact:
    """Training time, time of a single decision, and reward on held-out instances.

    Equal samples: each learner is trained on as many instances as DIRS, demonstrations included. Equal seconds: each
    trains for as long as DIRS, demonstrations included; learners of Stable-Baselines3 then use more instances.
    """

    def over(replicate: int) -> Iterable[Unit]:
        dirs, scenario = study.published_dirs(), study.layout(replicate)
        samples = int(dirs["settings"]["demonstrations"] + dirs["settings"]["slots"])
        baselines = {ACTOR_CRITIC: study.learner("a2c-sb3"), DDPG: study.learner("ddpg-sb3")}
        yield study.learned(DIRS, replicate, scenario)
        for name, learner in baselines.items():
            yield study.trained(replicate, scenario, learner, samples, method=name)
        parameters = {
            "scenario": scenario,
            "leader": dirs,
            "followers": baselines,
            "seed": replicate,
            "tests": study.tests(replicate, scenario),
        }
        yield Unit(measurements.train_for_equal_time, parameters, {REPLICATE: replicate})
        yield study.rules(replicate, scenario)

    claimed = (orders_of_reward, level, orders_of_time)
    keys = ("budget", "method")
    return Artefact(study=study, name="table-3", keys=keys, over=over, read=read, picture=picture, claimed=claimed)


def read(unit: Unit, result: Result) -> Iterable[Row]:
    """A row for each training; the optimum and the rules are not trained."""
    if "solvers" in unit.parameters:
        for method, numbers in result.items():
            yield {"budget": NONE, "method": method, **numbers}
        return
    alone = "method" in unit.labels
    for method, found in ({unit.labels["method"]: result} if alone else result).items():
        beside = {**spent(found), **{name: found[name] for name in ("samples", "decision_s")}}
        yield {"budget": SAMPLES if alone else SECONDS, "method": method, **beside, **found["tests"][AS_TRAINED]}


def picture(summary: DataFrame) -> Figure:
    """Draw three panels; published numbers are hollow."""
    at = summary.set_index(["budget", "method"])
    figure, axes = plots.panels(3)
    shown = (
        ("train_cpu_s", 1.0, "training time (processor), s"),
        ("decision_s", 1e3, "time of a decision, ms"),
        ("reward", 1.0, "mean reward, 1 / cost"),
    )
    entries = [(budget, name) for budget in (SAMPLES, SECONDS) for name in LEARNERS]
    rows = [(f"{LEARNERS[name].label}, {budget}", LEARNERS[name]) for budget, name in entries]
    for ax, (number, scale, label) in zip(axes, shown, strict=True):
        plots.dots(ax, rows, [at.loc[[entry]].iloc[0] for entry in entries], number, scale)
        for rows_of_budget in (range(3), range(3, 6)):
            plots.published_points(ax, [scale * value for value in PUBLISHED[number]], list(rows_of_budget))
        if number == "reward":
            for method, style in REFERENCES.items():
                mean = at.loc[[(NONE, method)]][number].mean()
                ax.axvline(mean, color=style.color, ls=style.line, lw=1.4, label=style.label)
        else:
            plots.logarithmic(ax, "x")
        if ax is not axes[0]:
            ax.set_yticklabels([])
        plots.finish(ax, label, "")
    plots.legend(figure, axes)
    return figure


def orders_of_reward(frame: DataFrame) -> Iterable[Claim]:
    """The order by reward with each budget."""
    for budget in (SAMPLES, SECONDS):
        yield published_order(frame, budget, "reward", "average reward")


def orders_of_time(frame: DataFrame) -> Iterable[Claim]:
    """The orders by time with equal numbers of samples."""
    yield published_order(frame, SAMPLES, "train_cpu_s", "training time", " s")
    yield published_order(frame, SAMPLES, "decision_s", "inference time", " s")


def level(frame: DataFrame) -> Iterable[Claim]:
    """Whether the reward of DIRS is the published one."""
    reward = Interval.of(values(frame, "reward", budget=SAMPLES, method=DIRS))
    optimum = Interval.of(values(frame, "reward", budget=NONE, method=measurements.OPTIMUM))
    published = PUBLISHED["reward"][0]
    yield Claim(
        "The average reward of DIRS has the published level",
        "Table III",
        f"{published:.4f}",
        f"{reward.text(form='.4f')}; certified optimum {optimum.text(form='.4f')}",
        reward.within(published * (1 - NEAR), published * (1 + NEAR)),
        f"the mean lies within {100 * NEAR:g} % of the published one",
    )


def published_order(frame: DataFrame, budget: str, number: str, word: str, unit: str = "") -> Claim:
    """Whether the learners are in the published order by one number."""
    published = dict(zip(LEARNERS, PUBLISHED[number], strict=True))
    order = sorted(published, key=published.__getitem__)
    names = [LEARNERS[name].label for name in order]
    found = [values(frame, number, budget=budget, method=name) for name in order]
    means = ", ".join(f"{name} {Interval.of(each).mean:.3g}" for name, each in zip(names, found, strict=True))
    holds, differences = ascending(names, found)
    return Claim(
        f"Order of {word}, {budget}: {' < '.join(names)}",
        "Table III",
        ", ".join(f"{LEARNERS[name].label} {published[name]:g}{unit}" for name in order),
        f"{means}{unit} ({differences})",
        holds,
        "each mean paired difference of neighbours in this order is above 0; false if one is not",
    )
