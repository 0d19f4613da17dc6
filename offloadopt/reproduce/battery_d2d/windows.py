"""Gaps of rules, rMAPPO and imitation to the proved optimum in short windows of a small fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit, measured
from offloadopt.reproduce.battery_d2d import bars
from offloadopt.reproduce.battery_d2d.measurements import BOUND
from offloadopt.reproduce.battery_d2d.study import GREEDY, OPTIMUM, QUEUE, RMAPPO, RULES, STYLES, BatteryD2DStudy
from offloadopt.reproduce.study import Chosen
from offloadopt.reproduce.summary import above_bound, select

WINDOWS, EPISODES = "windows", "episodes"


def optimum_solver(study: BatteryD2DStudy) -> Chosen:
    """Exact solver with the time limit of a window."""
    return {OPTIMUM: ("exact", {"time_limit_s": study.sizes.window_seconds})}


def hindsight_table(study: BatteryD2DStudy) -> Artefact:
    """Costs above the proved bound of the fleet's total cost, which assumes that the future is known.

    In a few slots no battery is emptied: energy, ageing and disconnected devices decide there.
    """

    def over(replicate: int) -> Iterable[Unit]:
        for chosen in (optimum_solver(study), RULES):
            yield study.solvers(replicate, study.window, chosen, test=study.window_test(replicate))
        yield from study.trained_in_windows(replicate)

    def picture(summary: DataFrame) -> Figure:
        summary = summary.sort_values("gap")
        rows = bars.rows_of(summary, [method for method in summary["method"] if method != BOUND])
        figure, (ax,) = plots.panels(1)
        bars.draw_bars(ax, rows, "gap", 100.0, [STYLES[method].color for method, _ in rows])
        bars.label_rows(ax, rows)
        plots.finish(ax, "cost above the hindsight bound, %", "")
        return figure

    return Artefact(
        study=study,
        name="hindsight",
        keys=("method",),
        over=over,
        derive=lambda frame: frame.assign(gap=above_bound(frame, BOUND)),
        picture=picture,
    )


def imitation_table(study: BatteryD2DStudy) -> Artefact:
    """Imitation of an expert, rMAPPO that starts from it, the expert itself, and rMAPPO alone.

    In windows the experts are the greedy rule and the optimum, in whole episodes the greedy rule and energy queues.
    """
    sizes, greedy = study.sizes, {GREEDY: RULES[GREEDY]}
    experts: Mapping[str, Mapping[str, Chosen]] = {
        WINDOWS: {GREEDY: greedy, OPTIMUM: optimum_solver(study)},
        EPISODES: {GREEDY: greedy, QUEUE: {QUEUE: RULES[QUEUE]}},
    }

    def over(replicate: int) -> Iterable[Unit]:
        for at, of_place in experts.items():
            window = at == WINDOWS
            test = study.window_test(replicate) if window else study.test(replicate, study.common)
            for expert, chosen in of_place.items():
                count = sizes.window_demonstrations if window else sizes.demonstrations
                count = sizes.optimum_demonstrations if expert == OPTIMUM else count
                yield study.imitation(replicate, chosen, count, window, expert=expert)
                yield study.solvers(replicate, test["scenario"], chosen, test=test)
        yield from study.trained_in_windows(replicate)
        yield from study.learned(replicate, sizes.presets[0], methods=[RMAPPO])

    def read(unit: Unit, result: Result) -> Iterable[Row]:
        for found in measured(unit, result):
            expert = unit.labels.get("expert")
            method = found.method if expert is None else imitation_label(expert, found.method)
            for at, scenario in ((WINDOWS, study.window), (EPISODES, study.common)):
                if scenario == found.scenario:
                    yield {"at": at, "method": method, **found.numbers}

    def picture(summary: DataFrame) -> Figure:
        figure, axes = plots.panels(2)
        for ax, (at, of_place) in zip(axes, experts.items(), strict=True):
            chosen = select(summary, at=at)
            methods = {RMAPPO: plots.GREY}
            for expert, color in zip(of_place, (plots.GREEN, plots.BLUE), strict=True):
                labels = [expert, *(imitation_label(expert, when) for when in ("before", "after"))]
                methods |= dict.fromkeys(labels, color)
            rows = bars.rows_of(chosen, [method for method in methods if method in set(chosen["method"])])
            bars.draw_bars(ax, rows, "cost", colors=[methods[method] for method, _ in rows])
            bars.label_rows(ax, rows)
            plots.finish(ax, "cost of a window" if at == WINDOWS else "cost of an episode", "", at)
        return figure

    return Artefact(study=study, name="imitation", keys=("at", "method"), over=over, read=read, picture=picture)


def imitation_label(expert: str, when: str) -> str:
    """Label of the imitation of an expert, before and after reinforcement learning."""
    return f"imitates {expert}" if when == "before" else f"{RMAPPO} after {expert}"
