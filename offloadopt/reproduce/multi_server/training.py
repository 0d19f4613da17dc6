"""Figures 5, 6 and 8: learning curves of DIRS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Axes, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, Verdict, all_hold
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import AS_TRAINED, REFERENCES, MultiServerStudy
from offloadopt.reproduce.summary import REPLICATE, select, summarised, values

DIRS, WITHOUT_LEVY, WITHOUT_IMITATION = "DIRS", "without Lévy search", "without imitation"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    DIRS: {},
    WITHOUT_LEVY: {"refinement": "none"},
    WITHOUT_IMITATION: {"imitation": False},
}
STYLES = {
    DIRS: plots.Style("DIRS", plots.BLUE),
    WITHOUT_LEVY: plots.Style(WITHOUT_LEVY, plots.ORANGE, ":"),
    WITHOUT_IMITATION: plots.Style(WITHOUT_IMITATION, plots.GREEN, "-"),
    **REFERENCES,
}
WINDOW = 200
"""Iterations over which curves of single slots are averaged before a value is read off."""
LOSS_WINDOW = 50
"""Iterations over which losses are averaged in the picture."""
SETTLED = 0.05
"""A curve has settled once less than this share of its fall remains."""


LOSS, LOSS_SETTLES = 0.2, 300
"""Published loss in figure 5, and the iteration from which on it has this level."""
FALLS = {"time_s": ("time", 900), "energy_j": ("energy", 1100)}
"""Published iterations of figure 6 from which on a number is steady."""
LABELS = {
    "time_s": "mean time of all devices, s",
    "energy_j": "mean energy of all devices, J",
    "cost": "mean cost (11)",
}


def trained(study: MultiServerStudy, replicate: int, variants: Iterable[str]) -> Iterable[Unit]:
    """A training of each variant."""
    scenario = study.layout(replicate)
    for variant in variants:
        yield study.trained(replicate, scenario, study.published_dirs(**VARIANTS[variant]), method=variant)


def curves(
    study: MultiServerStudy,
    name: str,
    numbers: Sequence[str],
    variants: Sequence[str],
    tested: Sequence[str] = (),
    **parts: Any,
) -> Artefact:
    """Recorded slots of variants of DIRS beside the optimum and Local, which are constant on held-out instances.

    The last row of a training also has those numbers of the finished policy that are ``tested``.
    """

    def over(replicate: int) -> Iterable[Unit]:
        yield from trained(study, replicate, variants)
        yield study.rules(replicate, study.layout(replicate))

    def read(unit: Unit, result: Result) -> Iterable[Row]:
        if "learner" not in unit.parameters:
            slots = int(study.published_dirs()["settings"]["slots"])
            for method in REFERENCES:
                for step in (0, slots):
                    yield {"method": method, "step": step, **{number: result[method][number] for number in numbers}}
            return
        settings = unit.parameters["learner"]["settings"]
        before = settings["pretraining"] if settings["imitation"] else 0
        end = {f"tested_{number}": result["tests"][AS_TRAINED][number] for number in tested}
        for point in result["curve"]:
            if point["step"] > before:
                row = {number: point[f"episode/{number}"] for number in numbers}
                last = point is result["curve"][-1]
                yield {"method": unit.labels["method"], "step": point["step"] - before, **row, **(end if last else {})}

    keys = ("method", "step")
    return Artefact(study=study, name=name, keys=keys, over=over, read=read, by_replicate=True, **parts)


def smooth(frame: DataFrame, number: str) -> DataFrame:
    """Moving means of one number of the variants over `WINDOW` iterations."""
    learned = frame[frame["method"].isin(list(VARIANTS))]
    return plots.smoothed(frame, number, ("method", REPLICATE), WINDOW // spacing(learned))


def spacing(frame: DataFrame) -> int:
    """Steps between two records."""
    return int(np.median(np.diff(np.unique(frame["step"]))))


def draw_number(ax: Axes, frame: DataFrame, number: str, label: str) -> None:
    """Draw one panel: moving means of the variants with bands, and the rules as levels."""
    for method in (*VARIANTS, *REFERENCES):
        chosen = select(frame, method=method)
        if len(chosen):
            chosen = smooth(chosen, number) if method in VARIANTS else chosen
            plots.series(ax, summarised(chosen, ("method", "step")), "step", number, STYLES[method])
    ax.set_xlim(0, frame["step"].max())
    plots.fit_to_means(ax)
    plots.finish(ax, "iteration (slot)", label)


def loss_figure(study: MultiServerStudy) -> Artefact:
    """Figure 5: loss of each agent in each recorded step, pre-training first."""

    def picture(frame: DataFrame) -> Figure:
        import pandas as pd

        figure, (ax,) = plots.panels(1)
        settings = study.published_dirs()["settings"]
        pretraining = settings["pretraining"]
        phases = (frame[frame["step"] <= pretraining], frame[frame["step"] > pretraining])
        by, window = ("agent", REPLICATE), LOSS_WINDOW // spacing(frame)
        parts = [summarised(plots.smoothed(phase, "loss_per_task", by, window), ("agent", "step")) for phase in phases]
        summary = pd.concat(parts, ignore_index=True)
        colors = ((plots.BLUE, "-"), (plots.ORANGE, "--"), (plots.GREEN, "-."), (plots.PURPLE, ":"))
        for (agent, chosen), (color, line) in zip(summary.groupby("agent"), colors, strict=False):
            plots.series(ax, chosen, "step", "loss_per_task", plots.Style(str(agent), color, line))
        plots.published(ax, x=LOSS_SETTLES, y=LOSS)
        ax.axvline(pretraining, color=plots.MUTED, lw=1, label="end of pre-training")
        ax.set_xlim(0, pretraining + settings["slots"])
        plots.fit_to_means(ax, 0.0)
        plots.finish(ax, "iteration, pre-training included", "loss for each task")
        plots.legend(figure, [ax])
        return figure

    return Artefact(
        study=study,
        name="fig-5",
        keys=("agent", "step"),
        over=lambda replicate: trained(study, replicate, [DIRS]),
        read=losses,
        picture=picture,
        by_replicate=True,
        claimed=(settled_losses,),
    )


def losses(unit: Unit, result: Result) -> Iterable[Row]:
    """A row for each agent and recorded step."""
    tasks = unit.parameters["scenario"]["users"]
    for point in result["curve"]:
        for name in (name for name in point if name.startswith("train/loss_agent_")):
            agent = "agent " + name.removeprefix("train/loss_agent_")
            yield {"agent": agent, "step": point["step"], "loss": point[name], "loss_per_task": point[name] / tasks}


def settled_losses(frame: DataFrame) -> Iterable[Claim]:
    """Level of the losses, and the iteration at which they have settled."""
    last = int(frame["step"].max())
    verdicts: list[Verdict] = []
    measured = []
    for agent, chosen in frame.groupby("agent"):
        ends, then = (_means(chosen, "loss_per_task", *span) for span in ((0.9 * last, last), (250, 350)))
        verdicts.append(Interval.of(ends).within(0.1, 0.3))
        measured.append(f"{agent}: {Interval.of(ends).text()} at the end")
        if len(then) == len(ends):
            verdicts.append(Interval.of(then - ends).within(-0.05, 0.05))
            measured[-1] += f", {Interval.of(then).text()} around iteration {LOSS_SETTLES}"
    yield Claim(
        f"The losses of both agents converge to {LOSS:g} within about {LOSS_SETTLES} iterations",
        "Fig. 5",
        f"{LOSS:g} after about {LOSS_SETTLES} iterations",
        "; ".join(measured) + " (per task; the sum over tasks in (15) is larger by their number)",
        all_hold(verdicts),
        "for each agent the mean loss per task of the last tenth lies in 0.1 to 0.3, and that of iterations 250 to 350 "
        "within 0.05 of it",
    )


def time_energy_figure(study: MultiServerStudy) -> Artefact:
    """Figure 6: time and energy; also without imitation, after which little is left to fall.

    The cost weighs both as in (10).
    """

    def with_cost(frame: DataFrame) -> DataFrame:
        scenario = study.layout(1)
        return frame.assign(
            cost=scenario["time_weight"] * frame["time_s"] + scenario["energy_weight"] * frame["energy_j"]
        )

    claimed = [partial(fall, number=number) for number in FALLS]
    variants = (DIRS, WITHOUT_IMITATION)
    return curves(study, "fig-6", tuple(FALLS), variants, derive=with_cost, picture=time_energy, claimed=claimed)


def time_energy(frame: DataFrame) -> Figure:
    """Draw three panels over the iterations, and below them the same near the end."""
    figure, axes = plots.panels(3, 2)
    for column, (number, label) in enumerate({**LABELS, "cost": "mean cost (11)"}.items()):
        for ax in axes[column::3]:
            draw_number(ax, frame, number, label)
            if number in FALLS:
                plots.published(ax, x=FALLS[number][1])
        near = smooth(frame[frame["method"] != WITHOUT_IMITATION], number)[number]
        margin = 0.25 * float(np.ptp(near))
        axes[column + 3].set_ylim(near.min() - margin, near.max() + margin)
    plots.legend(figure, axes)
    return figure


def fall(frame: DataFrame, number: str) -> Iterable[Claim]:
    """Fall of a number, and the iteration at which it has settled."""
    word, settles = FALLS[number]
    slots = int(frame["step"].max())
    found = {variant: _fallen(select(frame, method=variant), number, slots) for variant in (DIRS, WITHOUT_IMITATION)}
    falls, settled = found[DIRS]
    holds = falls.above(0.0)
    if holds:
        holds = settled.within(0.67 * settles, 1.33 * settles) if slots > settles else None
    measured = [
        f"{variant}: falls by {falls.text(form='.2f')} %"
        + (f", settled after {settled.text(form='.0f')}" if falls.above(0.0) and settled.replicates else "")
        for variant, (falls, settled) in found.items()
    ]
    yield Claim(
        f"Mean {word} falls until about {settles} iterations and is then steady",
        "Fig. 6",
        f"falls until about {settles} iterations",
        "; ".join(measured) + f" (from the first {WINDOW // 2} iterations to the last tenth of {slots})",
        holds,
        f"false if it does not fall; else whether after {settles} iterations, give or take a third, the "
        f"{WINDOW}-iteration mean stays near its end, within {100 * SETTLED:g} % of the fall; open where its noise "
        "exceeds that",
    )


def _fallen(curve: DataFrame, number: str, slots: int) -> tuple[Interval, Interval]:
    """Fall of a curve in per cent, and the iterations until it has settled, if its noise allows to read them."""
    start, end = _means(curve, number, 0, WINDOW / 2), _means(curve, number, 0.9 * slots, slots)
    percent, smoothed = Interval.of(100 * (1 - end / start)), smooth(curve, number)
    late = smoothed[smoothed["step"] >= 0.9 * slots].groupby(REPLICATE)[number]
    noise = (late.max() - late.min()).to_numpy()
    if (noise > SETTLED * (start - end)).any():
        return percent, Interval.of([])
    near = end + SETTLED * (start - end)
    # From this step on no value lies above.
    settled = _first(smoothed, number, lambda at, place: np.maximum.accumulate(at[::-1])[::-1] <= near[place])
    return percent, Interval.of(settled)


def ablation_figure(study: MultiServerStudy) -> Artefact:
    """Figure 8: ablation of Lévy refinement and imitation; the last step also has the held-out reward and gap."""
    parts: Mapping[str, Any] = {"tested": ("reward", "gap"), "picture": ablation, "claimed": (refinement, imitation)}
    return curves(study, "fig-8", ("reward",), tuple(VARIANTS), **parts)


def ablation(frame: DataFrame) -> Figure:
    """Draw the rewards, the same near the rules, and the gaps of the finished policies."""
    figure, axes = plots.panels(3)
    for ax in axes[:2]:
        draw_number(ax, frame, "reward", "mean reward, 1 / cost")
    low, high = (values(frame, "reward", method=method, step=0).mean() for method in ("local", OPTIMUM))
    axes[1].set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    axes[1].set_title("the same, from Local to the optimum", fontsize=10.5, loc="left")
    tested = frame.dropna(subset=["tested_gap"])
    found = [summarised(select(tested, method=name), ("method",)).iloc[0] for name in VARIANTS]
    rows = [(name, plots.Style(name, STYLES[name].color)) for name in VARIANTS]
    plots.dots(axes[2], rows, found, "tested_gap", 100)
    plots.finish(axes[2], "gap of the finished policy to the optimum, %", "")
    axes[2].set_xlim(0, None)
    plots.legend(figure, axes[:1])
    return figure


def refinement(frame: DataFrame) -> Iterable[Claim]:
    """Gain by Lévy refinement at the end."""
    tested = frame.dropna(subset=["tested_reward"])
    rewards, gaps = (
        [values(tested, number, method=name) for name in (DIRS, WITHOUT_LEVY)]
        for number in ("tested_reward", "tested_gap")
    )
    difference = Interval.of(rewards[0] - rewards[1])
    ours, without = (Interval.of(gap).text(100, ".2f") for gap in gaps)
    yield Claim(
        "With Lévy search DIRS converges to a higher reward than without",
        "Fig. 8",
        "higher (curves only)",
        f"difference in reward {difference.text(form='.2e', sign='+')}; gap {ours} % with, {without} % without",
        difference.above(0.0),
        "the mean paired difference of the finished policies' rewards on held-out instances is above 0",
    )


def imitation(frame: DataFrame) -> Iterable[Claim]:
    """Gain by imitation during training."""
    smoothed = smooth(frame, "reward")
    best, local = (values(frame, "reward", method=method, step=0) for method in REFERENCES)
    halfway = 0.5 * (best + local)
    arrived = {
        name: _first(select(smoothed, method=name), "reward", lambda at, place: at >= halfway[place])
        for name in (DIRS, WITHOUT_IMITATION)
    }
    difference = Interval.of(arrived[DIRS] - arrived[WITHOUT_IMITATION])
    measured = ", ".join(f"{name}: {Interval.of(found).text(form='.0f')}" for name, found in arrived.items())
    yield Claim(
        "With imitation DIRS converges faster than without",
        "Fig. 8",
        "faster (curves only)",
        f"iterations until the mean reward is half-way from Local to the optimum: {measured} "
        f"(of {int(frame['step'].max())}, where it never is)",
        difference.below(0.0),
        f"the {WINDOW}-iteration mean reward is half-way from Local's to the optimum's after fewer iterations "
        "(mean paired difference)",
    )


def _means(frame: DataFrame, number: str, first: float, last: float) -> FloatArray:
    """Mean over the steps from ``first`` to ``last`` ``[replicates]``."""
    chosen = frame[frame["step"].between(first, last)]
    return chosen.groupby(REPLICATE)[number].mean().to_numpy(dtype=np.float64)


def _first(frame: DataFrame, number: str, reached: Callable[[FloatArray, int], NDArray[np.bool_]]) -> FloatArray:
    """First step at which a replicate's curve has ``reached`` something, else its last step ``[replicates]``."""
    found = []
    for place, (_, curve) in enumerate(frame.sort_values("step").groupby(REPLICATE)):
        at = np.flatnonzero(reached(curve[number].to_numpy(), place))
        found.append(curve["step"].iloc[at[0] if len(at) else -1])
    return np.array(found, dtype=np.float64)
