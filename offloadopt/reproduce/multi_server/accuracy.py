"""Table II: imitation accuracy by the number of demonstrations, with and without the L2 regulariser."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Unit
from offloadopt.reproduce.claim_builders import Level, steps_along
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.study import MultiServerStudy
from offloadopt.reproduce.summary import REPLICATE, select, values

PUBLISHED = {
    "with L2": {64: (0.908, 0.901), 128: (0.924, 0.918), 256: (0.967, 0.963), 512: (0.967, 0.965)},
    "without L2": {64: (0.903, 0.855), 128: (0.922, 0.898), 256: (0.966, 0.934), 512: (0.966, 0.943)},
}
"""Training and testing accuracy by loss and number of demonstrations."""
WITH, WITHOUT = PUBLISHED
STABLE = 0.005
"""A doubling of the demonstrations that adds less than this to the accuracy counts as no improvement."""
NEAR = 0.02
"""An accuracy this close to the published one counts as the same."""


def accuracy_table(study: MultiServerStudy) -> Artefact:
    """Train and test accuracy of `imitation` against exact demonstrations.

    The paper does not define its accuracy. Here it is the share of tasks whose voted option is the expert's; the share
    of single outputs on the right side of 0.5 stands beside it (``*_output_accuracy``), and what never offloading
    would reach.
    """
    sizes, keys = study.sizes, ("demonstrations", "loss")

    def over(replicate: int) -> Iterable[Unit]:
        for count, loss in itertools.product(sizes.demonstration_counts, PUBLISHED):
            parameters = {
                "scenario": study.layout(replicate),
                "learner": study.learner("imitation", **({} if loss == WITH else {"l2": 0.0})),
                "demonstrations": study.demonstrations(replicate, "exact", count),
                "steps": sizes.accuracy_steps,
                "seed": replicate,
                "test": {"count": sizes.test_instances, "seed": study.test_seed(replicate)},
            }
            labels = {REPLICATE: replicate, "demonstrations": count, "loss": loss}
            yield Unit(measurements.imitate, parameters, labels)

    counts = [count for count in sizes.demonstration_counts if count in PUBLISHED[WITH]]
    claimed: list[Callable[[DataFrame], Iterable[Claim]]] = [saturation] if {128, 256, 512} <= set(counts) else []
    if counts:
        claimed += [partial(lift, counts=counts), partial(published_level, counts=counts)]
    return Artefact(
        study=study,
        name="table-2",
        keys=keys,
        over=over,
        read=lambda unit, result: [{key: unit.labels[key] for key in keys} | dict(result)],
        picture=picture,
        claimed=claimed,
    )


def picture(summary: DataFrame) -> Figure:
    """Draw one panel for each loss; the published accuracies are hollow."""
    figure, axes = plots.panels(2)
    looks = (
        ("train_accuracy", plots.Style("training", plots.ORANGE, "--", "s")),
        ("test_accuracy", plots.Style("testing", plots.BLUE, "-", "o")),
    )
    counts = list(dict.fromkeys(summary["demonstrations"]))
    for ax, (loss, published) in zip(axes, PUBLISHED.items(), strict=True):
        chosen = select(summary, loss=loss)
        for column, (number, style) in enumerate(looks):
            plots.series(ax, chosen, "demonstrations", number, style, 100)
            ax.plot(
                list(published),
                [100 * pair[column] for pair in published.values()],
                color=style.color, marker=style.marker, mfc="none", ls=":", lw=1, label=f"{style.label}, published",
            )  # fmt: skip
        local = Interval.of(chosen["all_local_accuracy"]).mean
        plots.level(ax, 100 * local, plots.Style("never offloading", plots.GREY, "-."))
        ax.set_xscale("log", base=2)
        ax.set_xticks(counts, [str(count) for count in counts])
        plots.finish(ax, "demonstrations", "accuracy, %", loss)
    low = min(ax.get_ylim()[0] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, 100.4)
    plots.legend(figure, axes, columns=3)
    return figure


def saturation(frame: DataFrame) -> Iterable[Claim]:
    """Whether the accuracy no longer rises at the end."""
    counts = frame[frame["demonstrations"].isin([128, 256, 512])]
    before, after = steps_along(counts, "test_accuracy", "demonstrations", loss=WITH)
    yield Claim(
        "Testing accuracy rises with the demonstrations and is stable from 256 on",
        "Table II",
        "+4.5 points from 128 to 256, +0.2 from 256 to 512",
        f"{before.text(100, '.2f', '+')} points from 128 to 256, {after.text(100, '.2f', '+')} from 256 to 512",
        all_hold([before.above(STABLE), after.below(STABLE)]),
        f"the mean rises by more than {100 * STABLE:g} points from 128 to 256, by less from 256 to 512",
    )


def lift(frame: DataFrame, counts: Sequence[int]) -> Iterable[Claim]:
    """Whether the regulariser helps with each number of demonstrations."""
    found, published = {}, {}
    for count in counts:
        ours, without = (values(frame, "test_accuracy", loss=loss, demonstrations=count) for loss in PUBLISHED)
        found[count] = Interval.of(ours - without)
        published[count] = PUBLISHED[WITH][count][1] - PUBLISHED[WITHOUT][count][1]
    yield Claim(
        "The L2 regulariser lifts testing accuracy",
        "Table II",
        "; ".join(f"{count}: {100 * rise:+.1f} points" for count, rise in published.items()),
        "; ".join(f"{count}: {rise.text(100, '.2f', '+')} points" for count, rise in found.items()),
        all_hold(rise.above(0.0) for rise in found.values()),
        "the mean paired difference is above 0 for every number of demonstrations",
    )


def published_level(frame: DataFrame, counts: Sequence[int]) -> Iterable[Claim]:
    """Whether the accuracy is the published one."""
    published = {count: PUBLISHED[WITH][count][1] for count in counts}
    return Level(
        claim="Testing accuracy with L2 has the published level",
        source="Table II",
        paper="; ".join(f"{count}: {100 * accuracy:.1f} %" for count, accuracy in published.items()),
        number="test_accuracy",
        axis="demonstrations",
        by="loss",
        method=WITH,
        published=published,
        tolerance=NEAR,
        scale=100.0,
        form=".1f",
        each="{place}: {value} %",
        measured=f"{{found}} (never offloading: {100 * float(frame['all_local_accuracy'].mean()):.1f} %)",
        rule=f"the mean lies within {100 * NEAR:g} points of the published one for every number of demonstrations",
    )(frame)
