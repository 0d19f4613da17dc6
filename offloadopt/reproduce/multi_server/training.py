"""Figures 5, 6 and 8: learning curves of DIRS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, Verdict, all_hold
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import AS_TRAINED, MultiServerStudy
from offloadopt.reproduce.summary import summarised, values

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
    OPTIMUM: plots.Style("certified optimum", plots.BLACK, "--"),
    "local": plots.Style("Local", plots.GREY, "-."),
}
WINDOW = 200
"""Iterations over which curves of single slots are averaged before a value is read off."""
LOSS_WINDOW = 50
"""Iterations over which losses are averaged in the picture."""
SETTLED = 0.05
"""A curve has settled once less than this share of its fall remains."""


@dataclass(eq=False)
class Curves(Artefact):
    """Recorded curves of some variants of DIRS, beside the averages of simple rules on held-out instances."""

    study: MultiServerStudy
    keys = ("method", "step")
    numbers: ClassVar[tuple[str, ...]]
    variants: ClassVar[tuple[str, ...]] = (DIRS,)
    rules: ClassVar[tuple[str, ...]] = ()

    def plan(self) -> Iterable[Unit]:
        """A training for each variant and replicate, and the rules."""
        for replicate in self.study.replicates:
            scenario = self.study.layout(replicate)
            for variant in self.variants:
                learner = self.study.published_dirs(**VARIANTS[variant])
                yield self.study.trained(replicate, scenario, learner, method=variant)
            if self.rules:
                yield self.study.rules(replicate, scenario)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each recorded slot; rules are constant and have a first and a last row."""
        if "learner" in unit.parameters:
            settings = unit.parameters["learner"]["settings"]
            before = settings["pretraining"] if settings["imitation"] else 0
            for point in result["curve"]:
                if point["step"] > before:
                    numbers = {name: point[f"episode/{name}"] for name in self.numbers}
                    yield {"method": unit.labels["method"], "step": point["step"] - before, **numbers}
            return
        for method in self.rules:
            for step in (0, self.slots):
                yield {"method": method, "step": step, **{name: result[method][name] for name in self.numbers}}

    @property
    def slots(self) -> int:
        """Number of slots, the paper's iterations."""
        return int(self.study.published_dirs()["settings"]["slots"])

    def smooth(self, frame: DataFrame, number: str) -> DataFrame:
        """Moving means of one number over `WINDOW` iterations."""
        learned = frame[frame["method"].isin(self.variants)]
        if learned.empty:
            return frame
        return plots.smoothed(frame, number, ("method", REPLICATE), WINDOW // self.spacing(learned))

    def spacing(self, frame: DataFrame) -> int:
        """Steps between two records."""
        return int(np.median(np.diff(np.unique(frame["step"]))))

    def draw_number(self, ax: Any, frame: DataFrame, number: str, label: str) -> None:
        """Draw one panel: moving means of the variants with bands, and the rules as levels."""
        for method in (*self.variants, *self.rules):
            chosen = frame[frame["method"] == method]
            chosen = self.smooth(chosen, number) if method in self.variants else chosen
            plots.series(ax, summarised(chosen, self.keys), "step", number, STYLES[method])
        ax.set_xlim(0, self.slots)
        plots.fit_to_means(ax)
        plots.finish(ax, "iteration (slot)", label)


class LossFigure(Curves):
    """Figure 5: loss of each agent."""

    name = "fig-5"
    keys = ("agent", "step")
    published = 0.2
    settles_after = 300

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each agent and recorded step, pre-training first."""
        tasks = unit.parameters["scenario"]["users"]
        for point in result["curve"]:
            for name in (name for name in point if name.startswith("train/loss_agent_")):
                agent = "agent " + name.removeprefix("train/loss_agent_")
                yield {"agent": agent, "step": point["step"], "loss": point[name], "loss_per_task": point[name] / tasks}

    def draw(self, frame: DataFrame) -> Figure:
        """The loss of each agent for each of its outputs, smoothed within pre-training and within the slots."""
        import pandas as pd

        figure, (ax,) = plots.panels(1)
        pretraining = self.study.published_dirs()["settings"]["pretraining"]
        phases = (frame[frame["step"] <= pretraining], frame[frame["step"] > pretraining])
        by, smooth = ("agent", REPLICATE), LOSS_WINDOW // self.spacing(frame)
        parts = [summarised(plots.smoothed(phase, "loss_per_task", by, smooth), self.keys) for phase in phases]
        summary = pd.concat(parts, ignore_index=True)
        colors = ((plots.BLUE, "-"), (plots.ORANGE, "--"), (plots.GREEN, "-."), (plots.PURPLE, ":"))
        for (agent, chosen), (color, line) in zip(summary.groupby("agent"), colors, strict=False):
            plots.series(ax, chosen, "step", "loss_per_task", plots.Style(str(agent), color, line))
        plots.published(ax, x=self.settles_after, y=self.published)
        ax.axvline(pretraining, color=plots.MUTED, lw=1, label="end of pre-training")
        ax.set_xlim(0, pretraining + self.slots)
        plots.fit_to_means(ax, 0.0)
        plots.finish(ax, "iteration, pre-training included", "loss for each task")
        plots.legend(figure, [ax])
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Level of the losses, and the iteration at which they have settled."""
        last = int(frame["step"].max())
        agents = sorted(frame["agent"].unique())
        verdicts: list[Verdict] = []
        measured = []
        for agent in agents:
            chosen = frame[frame["agent"] == agent]
            ends = _means(chosen, "loss_per_task", 0.9 * last, last)
            then = _means(chosen, "loss_per_task", 250, 350)
            verdicts.append(Interval.of(ends).within(0.1, 0.3))
            measured.append(f"{agent}: {Interval.of(ends).text()} at the end")
            if len(then) == len(ends):
                verdicts.append(Interval.of(then - ends).within(-0.05, 0.05))
                measured[-1] += f", {Interval.of(then).text()} around iteration 300"
        return [
            Claim(
                "The losses of both agents converge to 0.2 within about 300 iterations",
                "Fig. 5",
                "0.2 after about 300 iterations",
                "; ".join(measured) + " (per task; the sum over tasks in (15) is larger by their number)",
                all_hold(verdicts),
                "for each agent the mean loss per task of the last tenth lies in 0.1 to 0.3, and that of iterations 250"
                " to 350 within 0.05 of it",
            )
        ]


class TimeEnergyFigure(Curves):
    """Figure 6: time and energy; also without imitation, after which little is left to fall."""

    name = "fig-6"
    numbers = ("time_s", "energy_j")
    variants = (DIRS, WITHOUT_IMITATION)
    rules = (OPTIMUM, "local")
    published: ClassVar[Mapping[str, tuple[str, int]]] = {"time_s": ("time", 900), "energy_j": ("energy", 1100)}

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Also the cost, which weighs both as in (10)."""
        scenario = unit.parameters["scenario"]
        for row in super().rows(unit, result):
            cost = scenario["time_weight"] * row["time_s"] + scenario["energy_weight"] * row["energy_j"]
            yield {**row, "cost": cost}

    def draw(self, frame: DataFrame) -> Figure:
        """Three panels over the iterations, and below them the same near the end."""
        figure, axes = plots.panels(3, 2)
        labels = ("mean time of all devices, s", "mean energy of all devices, J", "mean cost (11)")
        for column, (number, label) in enumerate(zip((*self.numbers, "cost"), labels, strict=True)):
            for ax in axes[column::3]:
                self.draw_number(ax, frame, number, label)
                if number in self.published:
                    plots.published(ax, x=self.published[number][1])
            near = self.smooth(frame[frame["method"] != WITHOUT_IMITATION], number)[number]
            margin = 0.25 * float(np.ptp(near))
            axes[column + 3].set_ylim(near.min() - margin, near.max() + margin)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Fall of each number, and the iteration at which it has settled."""
        return [self._fall(frame, number, *published) for number, published in self.published.items()]

    def _fall(self, frame: DataFrame, number: str, word: str, settles: int) -> Claim:
        found = {variant: self._fallen(frame, number, variant) for variant in self.variants}
        fall, settled = found[DIRS]
        holds = fall.above(0.0)
        if holds:
            holds = settled.within(0.67 * settles, 1.33 * settles) if self.slots > settles else None
        measured = [
            f"{variant}: falls by {fall.text(form='.2f')} %"
            + (f", settled after {settled.text(form='.0f')}" if fall.above(0.0) and settled.replicates else "")
            for variant, (fall, settled) in found.items()
        ]
        return Claim(
            f"Mean {word} falls until about {settles} iterations and is then steady",
            "Fig. 6",
            f"falls until about {settles} iterations",
            "; ".join(measured) + f" (from the first {WINDOW // 2} iterations to the last tenth of {self.slots})",
            holds,
            f"false if it does not fall; else whether after {settles} iterations, give or take a third, the "
            f"{WINDOW}-iteration mean stays near its end, within {100 * SETTLED:g} % of the fall; open where its noise "
            "exceeds that",
        )

    def _fallen(self, frame: DataFrame, number: str, variant: str) -> tuple[Interval, Interval]:
        """Fall of a curve in per cent, and the iterations until it has settled, if its noise allows to read them."""
        curve = frame[frame["method"] == variant]
        start, end = _means(curve, number, 0, WINDOW / 2), _means(curve, number, 0.9 * self.slots, self.slots)
        fall, smooth = Interval.of(100 * (1 - end / start)), self.smooth(curve, number)
        late = smooth[smooth["step"] >= 0.9 * self.slots].groupby(REPLICATE)[number]
        noise = (late.max() - late.min()).to_numpy()
        if (noise > SETTLED * (start - end)).any():
            return fall, Interval.of([])
        return fall, Interval.of(_settling(smooth, number, start, end))


class AblationFigure(Curves):
    """Figure 8: ablation of Lévy refinement and imitation."""

    name = "fig-8"
    numbers = ("reward",)
    variants = (DIRS, WITHOUT_LEVY, WITHOUT_IMITATION)
    rules = (OPTIMUM, "local")

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Also the finished policies' rewards and gaps on held-out instances, in the row of their last step."""
        rows = [dict(row) for row in super().rows(unit, result)]
        if "learner" in unit.parameters:
            tested = result["tests"][AS_TRAINED]
            rows[-1] |= {"tested_reward": tested["reward"], "tested_gap": tested["gap"]}
        yield from rows

    def draw(self, frame: DataFrame) -> Figure:
        """Rewards while training, and gaps of the finished policies."""
        figure, axes = plots.panels(3)
        for ax in axes[:2]:
            self.draw_number(ax, frame, "reward", "mean reward, 1 / cost")
        ends = [values(frame, "reward", method=method, step=0).mean() for method in ("local", OPTIMUM)]
        axes[1].set_ylim(ends[0] - 0.1 * (ends[1] - ends[0]), ends[1] + 0.1 * (ends[1] - ends[0]))
        axes[1].set_title("the same, from Local to the optimum", fontsize=10.5, loc="left")
        tested = frame.dropna(subset=["tested_gap"])
        found = [summarised(tested[tested["method"] == name], ("method",)).iloc[0] for name in self.variants]
        rows = [(name, plots.Style(name, STYLES[name].color)) for name in self.variants]
        plots.dots(axes[2], rows, found, "tested_gap", 100)
        plots.finish(axes[2], "gap of the finished policy to the optimum, %", "")
        axes[2].set_xlim(0, None)
        plots.legend(figure, axes[:1])
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Gain by Lévy refinement at the end, and by imitation during training."""
        return [self._refinement(frame), self._imitation(frame)]

    def _refinement(self, frame: DataFrame) -> Claim:
        tested = frame.dropna(subset=["tested_reward"])
        rewards = {name: values(tested, "tested_reward", method=name) for name in (DIRS, WITHOUT_LEVY)}
        gaps = {name: Interval.of(values(tested, "tested_gap", method=name)) for name in rewards}
        difference = Interval.of(rewards[DIRS] - rewards[WITHOUT_LEVY])
        return Claim(
            "With Lévy search DIRS converges to a higher reward than without",
            "Fig. 8",
            "higher (curves only)",
            f"difference in reward {difference.text(form='.2e', sign='+')}; "
            f"gap {gaps[DIRS].text(100, '.2f')} % with, {gaps[WITHOUT_LEVY].text(100, '.2f')} % without",
            difference.above(0.0),
            "the mean paired difference of the finished policies' rewards on held-out instances is above 0",
        )

    def _imitation(self, frame: DataFrame) -> Claim:
        smooth = self.smooth(frame[frame["method"].isin(self.variants)], "reward")
        halfway = 0.5 * (
            values(frame, "reward", method=OPTIMUM, step=0) + values(frame, "reward", method="local", step=0)
        )
        arrived = {
            name: _arrival(smooth[smooth["method"] == name], "reward", halfway) for name in (DIRS, WITHOUT_IMITATION)
        }
        difference = Interval.of(arrived[DIRS] - arrived[WITHOUT_IMITATION])
        measured = ", ".join(f"{name}: {Interval.of(found).text(form='.0f')}" for name, found in arrived.items())
        return Claim(
            "With imitation DIRS converges faster than without",
            "Fig. 8",
            "faster (curves only)",
            f"iterations until the mean reward is half-way from Local to the optimum: {measured} "
            f"(of {self.slots}, where it never is)",
            difference.below(0.0),
            f"the {WINDOW}-iteration mean reward is half-way from Local's to the optimum's after fewer iterations "
            "(mean paired difference)",
        )


def _means(frame: DataFrame, number: str, first: float, last: float) -> FloatArray:
    """Mean over the steps from ``first`` to ``last`` ``[replicates]``."""
    chosen = frame[(frame["step"] >= first) & (frame["step"] <= last)]
    return chosen.groupby(REPLICATE)[number].mean().sort_index().to_numpy(dtype=np.float64)


def _settling(frame: DataFrame, number: str, start: FloatArray, end: FloatArray) -> FloatArray:
    """First step from which a falling curve stays near its end ``[replicates]``."""
    found = []
    for (_, curve), high, low in zip(frame.sort_values("step").groupby(REPLICATE), start, end, strict=True):
        above = np.flatnonzero(curve[number].to_numpy() > low + SETTLED * (high - low))
        steps = curve["step"].to_numpy()
        found.append(steps[min(above[-1] + 1, len(steps) - 1)] if len(above) else steps[0])
    return np.array(found, dtype=np.float64)


def _arrival(frame: DataFrame, number: str, limit: FloatArray) -> FloatArray:
    """First step at which a curve has reached its limit, else its last step ``[replicates]``."""
    found = []
    for (_, curve), least in zip(frame.sort_values("step").groupby(REPLICATE), limit, strict=True):
        reached = np.flatnonzero(curve[number].to_numpy() >= least)
        steps = curve["step"].to_numpy()
        found.append(steps[reached[0]] if len(reached) else steps[-1])
    return np.array(found, dtype=np.float64)
