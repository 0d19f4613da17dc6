"""The server's energy coefficient, which the paper's text does not give, fitted to Table 3.

One coefficient is fitted to eighteen numbers: it brings delay and energy of an optimal policy as close to the table as
possible, and the remaining residual has other causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.partial_mobile.study import EXACT, STYLES, WEIGHTS, PartialMobileStudy
from offloadopt.reproduce.partial_mobile.table import PANELS, PUBLISHED, at_weights
from offloadopt.reproduce.study import Chosen
from offloadopt.reproduce.summary import summarised, values

FIT = "fit"
MOST = 0.10
"""Largest residual at which the table counts as explained."""


@dataclass(eq=False)
class KappaTable(Artefact):
    """Residual against the coefficient, and Table 3 at the fitted one."""

    study: PartialMobileStudy
    name = "kappa"
    keys = ("method", "at", "weight")

    def plan(self) -> Iterable[Unit]:
        """A fit with the optimum, and one with the optimum on the grid."""
        study, sizes = self.study, self.study.sizes
        solvers: Chosen = {EXACT: ("exact", {"relative_gap": 1e-4}), **study.grid()}
        table = [
            {"weight": weight, **{name: PUBLISHED[name][WEIGHTS.index(weight)] for name in ("time_s", "energy_j")}}
            for weight in sizes.kappa_weights
        ]
        for replicate in study.replicates:
            for method, (name, options) in solvers.items():
                parameters = {
                    "scenario": study.scenario(),
                    "solver": {"name": name, "options": dict(options)},
                    "published": table,
                    "slots": sizes.kappa_slots,
                    "seed": study.test_seed(replicate),
                    "exponents": list(sizes.kappa_exponents),
                    "refinements": sizes.kappa_refinements,
                }
                yield Unit(measurements.fit_kappa, parameters, {REPLICATE: replicate, "method": method})

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Numbers of Table 3 at each evaluated coefficient and at the fitted one."""
        tried = {f"{point['kappa']:.5g}": point for point in result["tried"]}
        for at, point in {**tried, FIT: result["fit"]}.items():
            for row in point["rows"]:
                numbers = {"kappa": point["kappa"], "residual": point["residual"]}
                yield {"method": unit.labels["method"], "at": at, **row, **numbers}

    def draw(self, frame: DataFrame) -> Figure:
        """Draw the residual against the coefficient, and the three columns of the table at the fit."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2, 2)
        one_weight = summary[summary["weight"] == summary["weight"].min()]  # the residual is over all weights
        # Too many points near the best for markers, and no entry in the legend.
        plain = {method: replace(style.plain, label="_") for method, style in STYLES.items()}
        plots.lines(axes[0], one_weight[one_weight["at"] != FIT], "kappa", "residual", plain, 100.0)
        for method, best in one_weight[one_weight["at"] == FIT].groupby("method"):
            axes[0].plot(best["kappa"], 100.0 * best["residual"], color=STYLES[method].color, marker="*", ms=13, ls="")
        axes[0].axhline(100.0 * MOST, color=plots.VERMILION, ls=":", lw=1.4)
        axes[0].annotate(
            f"{100 * MOST:g} %", (0.01, 100.0 * MOST), (0, 3),
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8, color=plots.INK,
        )  # fmt: skip
        plots.logarithmic(axes[0], "x")
        plots.fit_to_means(axes[0], 0.0)
        plots.finish(
            axes[0], "the server's energy coefficient, W s³ (stars: fitted)", "residual of delay and energy, %"
        )
        for ax, panel in zip(axes[1:], PANELS, strict=True):
            panel.draw(ax, summary[summary["at"] == FIT], "weight", STYLES)
            plots.finish(ax, "weight of time", panel.label, "at the fitted coefficient")
        plots.legend(figure, axes, columns=3)
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Whether one coefficient explains the table."""
        return [self._explains(frame, method) for method in self.study.in_order(frame["method"])]

    def _explains(self, frame: DataFrame, method: str) -> Claim:
        weights = sorted(set(frame["weight"]))
        at_fit = frame[(frame["method"] == method) & (frame["at"] == FIT)]
        left = Interval.of(values(at_fit, "residual", weight=weights[0]))
        kappa = Interval.of(values(at_fit, "kappa", weight=weights[0]))
        utility = [float(values(at_fit, "utility", weight=weight).mean()) for weight in weights]
        return Claim(
            f"With a fitted energy coefficient of the server, Table 3 is that of the {method}",
            "Table 3; the coefficient is not in the text",
            f"utility {at_weights('.3f', PUBLISHED['utility'], WEIGHTS)}",
            f"residual {left.text(100)} % at {kappa.text()} W s^3; utility there {at_weights('.3f', utility, weights)}",
            left.below(MOST),
            "the root mean square of the relative errors of delay and energy over the weights, at the best "
            f"coefficient, is below {100 * MOST:g} %",
        )
