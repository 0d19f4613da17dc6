"""Fig. 5, the critics' loss of MADDPG and MADDPG-CGAN, and Fig. 10, MADDPG under rules of sharing weights.

Losses are those of single batches, in squared standard deviations of rewards. Roughness is the mean absolute change
between neighbouring points over the mean loss, and it is compared at equally many points.

Curves of Fig. 10 are the running mean of an episode's cost while learning, exploration included; the end is measured on
held-out instances. Speed is the first step at which a curve is within 5 % of the end of FedAvg's curve: steps to a
curve's own end would make a bad rule look fast. Whatever the rule, agents of MADDPG exchange their experience for their
critics, unless a centre collects it. Weights are transmitted in addition.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit, measured
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.summary import REPLICATE, select, values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep
from offloadopt.reproduce.training import interval_means
from offloadopt.reproduce.twin_inference import curves
from offloadopt.reproduce.twin_inference.study import (
    CENTRALISED,
    CGAN,
    FEDAVG,
    FEDERATED,
    MADDPG,
    PERSONALISED,
    STYLES,
    TwinInferenceStudy,
)

POINTS = 50
"""Points of a curve; replicates are averaged over the same intervals of steps."""
CURVES = {method: style.plain for method, style in STYLES.items()}
STEPS = Axis("step", "decisions of users", logarithmic=True, ticks=False)
LEARNING, HELD_OUT = "learning", "held out"
MEGABYTE = 1e6


def loss_figure(study: TwinInferenceStudy) -> Sweep:
    """Critics' loss during training at the common point."""
    return Sweep(
        study=study,
        name="losses",
        keys=("method", "step"),
        over=lambda replicate: study.learned(replicate, study.at(), (MADDPG, CGAN)),
        read=losses,
        axis=STEPS,
        panels=(Panel("loss", "critics' loss, squared deviations of rewards", least=0.0),),
        grid=1,
        styles=CURVES,
        wide_bands=False,
        claimed=(smoother_and_faster,),
    )


def losses(unit: Unit, result: Result) -> Iterable[Row]:
    """Interval means of the curve, with its roughness and settling step."""
    found = [(point["step"], point["loss"]) for point in result["curve"] if "loss" in point]
    if not found:
        return
    steps, losses = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
    whole = {"roughness": curves.roughness(losses), "settled_step": curves.settling_step(steps, losses)}
    for step, loss in interval_means(steps, losses, float(unit.parameters["steps"]), POINTS):
        yield {"method": unit.labels["method"], "step": step, "loss": loss, **whole}


def smoother_and_faster(frame: DataFrame) -> Iterable[Claim]:
    """Whether the loss is smoother and settles sooner with generated experience."""
    if not {MADDPG, CGAN} <= set(frame["method"]):
        return
    once = frame.drop_duplicates(["method", REPLICATE])  # both numbers are of a whole curve
    for number, claim, rule in (
        ("roughness", "falls more smoothly", "of both curves' roughness"),
        (
            "settled_step",
            "converges in fewer steps",
            "of the steps from which on the running mean stays within 5 % of its end",
        ),
    ):
        ours, theirs = (values(once, number, method=method) for method in (CGAN, MADDPG))
        with np.errstate(divide="ignore", invalid="ignore"):  # a curve of one point is not rough at all
            ratio = Interval.of(ours / theirs)
        yield Claim(
            f"The critics' loss {claim} with generated experience",
            "Fig. 5, section 6",
            "smoother and faster (no numbers)",
            f"{number.replace('_', ' ')} {ours.mean():.3g} against {theirs.mean():.3g} of MADDPG, ratio {ratio.text()}",
            ratio.below(1.0),
            f"the mean ratio {rule} is below 1",
        )


def federation_figure(study: TwinInferenceStudy) -> Artefact:
    """Learning curves of MADDPG without a rule and under each rule, and a row for each final policy."""

    def over(replicate: int) -> Iterable[Unit]:
        yield from study.learned(replicate, study.at(), [MADDPG])
        yield from study.federated(replicate)

    def picture(summary: DataFrame) -> Figure:
        summary = plots.hide_wide_bands(summary, ["cost", "delivered_mb"])
        figure, axes = plots.panels(2)
        learning, ends = (select(summary, cost_of=what) for what in (LEARNING, HELD_OUT))
        plots.lines(axes[0], learning, "step", "cost", CURVES)
        plots.fit_to_means(axes[0])
        STEPS.finish(axes[0], learning, "cost of an episode, while exploring")
        methods = study.in_order(ends["method"])
        rows = [select(ends, method=method).iloc[0] for method in methods]
        plots.dots(axes[1], [(method, STYLES[method]) for method in methods], rows, "cost")
        plots.finish(axes[1], "cost of a held-out episode", "")
        plots.legend(figure, axes[:1])
        return figure

    return Artefact(
        study=study,
        name="federation",
        keys=("cost_of", "method", "step"),
        over=over,
        read=costs,
        derive=with_first_near,
        picture=picture,
        claimed=(personalised,),
    )


def costs(unit: Unit, result: Result) -> Iterable[Row]:
    """Interval means of the curve, and the held-out cost at the end."""
    (found,) = measured(unit, result)
    method, end, curve = found.method, float(unit.parameters["steps"]), result["curve"]
    last = {"cost_of": HELD_OUT, "method": method, "step": end, "cost": found.numbers["cost"]}
    if curve:
        steps, costs = (np.array([point[name] for point in curve], dtype=np.float64) for name in ("step", "cost"))
        for step, cost in interval_means(steps, curves.running_mean(costs), end, POINTS):
            yield {"cost_of": LEARNING, "method": method, "step": step, "cost": cost}
        last |= {f"{way}_mb": curve[-1][way] / MEGABYTE for way in ("sent", "delivered")}
    yield last


def with_first_near(frame: DataFrame) -> DataFrame:
    """Add to the rows of held-out costs the step at which each rule first comes near FedAvg's final cost."""
    first = np.full(len(frame), np.nan)
    learning = select(frame, cost_of=LEARNING).sort_values("step")
    for replicate, rows in learning.groupby(REPLICATE):
        goal = select(rows, method=FEDAVG)["cost"].to_numpy()
        if not len(goal):
            continue
        for method, curve in rows.groupby("method"):
            at = (frame["cost_of"] == HELD_OUT) & (frame["method"] == method) & (frame[REPLICATE] == replicate)
            first[at.to_numpy()] = curves.first_near(curve["step"], curve["cost"], goal[-1])
    return frame.assign(first_near=first)


def personalised(frame: DataFrame) -> Iterable[Claim]:
    """Personalised sharing against FedAvg in speed and cost, and against a centre in bytes."""
    ends = select(frame, cost_of=HELD_OUT)
    present = set(ends["method"])
    if not {PERSONALISED, FEDAVG} <= present:
        return
    rival = CENTRALISED if CENTRALISED in present else FEDAVG
    cost, first, bytes_ = (
        Interval.of(values(ends, number, method=PERSONALISED) / values(ends, number, method=other))
        for number, other in (("cost", FEDAVG), ("first_near", FEDAVG), ("delivered_mb", rival))
    )
    final, delivered = (
        ", ".join(
            f"{method} {format(float(values(ends, number, method=method).mean()), form)}"
            for method in (MADDPG, *FEDERATED)
            if method in present
        )
        for number, form in (("cost", ".4g"), ("delivered_mb", ".3g"))
    )
    source = "Fig. 10, section 6"
    yield Claim(
        "Personalised sharing converges faster than FedAvg",
        source,
        "faster (no numbers)",
        f"ratio of the steps after which the cost is first within 5 % of FedAvg's end {first.text()}",
        None if first.low == first.high == 1.0 else first.below(1.0),
        "the mean ratio of these steps is below 1; undecided where all replicates have a draw",
    )
    yield Claim(
        "Personalised sharing ends with a better reward than FedAvg",
        source,
        "better (no numbers)",
        f"ratio of costs {cost.text()}; {final}",
        cost.below(1.0),
        "the mean ratio of costs on held-out instances is below 1",
    )
    yield Claim(
        "Personalised sharing avoids the data transfer of centralised training",
        source,
        "avoids large-scale data transfer (no numbers)",
        f"delivered in the training, MB: {delivered}; ratio to {rival} {bytes_.text()}",
        bytes_.below(1.0),
        "the mean ratio of bytes delivered in the whole training is below 1",
    )
