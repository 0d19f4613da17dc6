"""The server's energy coefficient, which the paper's text does not give, fitted to Table 3.

One coefficient is fitted to eighteen numbers: it brings delay and energy of an optimal policy as close to the table as
possible, and the remaining residual has other causes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.partial_mobile.study import EXACT, STYLES, WEIGHTS, PartialMobileStudy
from offloadopt.reproduce.partial_mobile.table import PANELS, PUBLISHED, at_weights
from offloadopt.reproduce.study import Chosen
from offloadopt.reproduce.summary import REPLICATE, select, values

FIT = "fit"
MOST = 0.10
"""Largest residual at which the table counts as explained."""


def kappa_table(study: PartialMobileStudy) -> Artefact:
    """Residual against the coefficient, and Table 3 at the one fitted with the optimum, and with that on the grid."""
    sizes = study.sizes
    solvers: Chosen = {EXACT: ("exact", {"relative_gap": 1e-4}), **study.grid()}

    def over(replicate: int) -> Iterable[Unit]:
        table = [
            {"weight": weight, **{name: PUBLISHED[name][WEIGHTS.index(weight)] for name in ("time_s", "energy_j")}}
            for weight in sizes.kappa_weights
        ]
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

    return Artefact(
        study=study,
        name="kappa",
        keys=("method", "at", "weight"),
        over=over,
        read=read,
        picture=picture,
        claimed=[partial(explains, method=method) for method in solvers],
    )


def read(unit: Unit, result: Result) -> Iterable[Row]:
    """Numbers of Table 3 at each evaluated coefficient and at the fitted one."""
    tried = {f"{point['kappa']:.5g}": point for point in result["tried"]}
    for at, point in {**tried, FIT: result["fit"]}.items():
        for row in point["rows"]:
            numbers = {"kappa": point["kappa"], "residual": point["residual"]}
            yield {"method": unit.labels["method"], "at": at, **row, **numbers}


def picture(summary: DataFrame) -> Figure:
    """Draw the residual against the coefficient, and the three columns of the table at the fit."""
    figure, (ax, *columns) = plots.panels(2, 2)
    one_weight = summary[summary["weight"] == summary["weight"].min()]  # the residual is over all weights
    # Too many points near the best for markers, and no entry in the legend.
    plain = {method: replace(style.plain, label="_") for method, style in STYLES.items()}
    plots.lines(ax, one_weight[one_weight["at"] != FIT], "kappa", "residual", plain, 100.0)
    for method, best in select(one_weight, at=FIT).groupby("method"):
        ax.plot(best["kappa"], 100.0 * best["residual"], color=STYLES[str(method)].color, marker="*", ms=13, ls="")
    ax.axhline(100.0 * MOST, color=plots.VERMILION, ls=":", lw=1.4)
    ax.annotate(
        f"{100 * MOST:g} %", (0.01, 100.0 * MOST), (0, 3),
        xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8, color=plots.INK,
    )  # fmt: skip
    plots.logarithmic(ax, "x")
    plots.fit_to_means(ax, 0.0)
    plots.finish(ax, "the server's energy coefficient, W s³ (stars: fitted)", "residual of delay and energy, %")
    for column, panel in zip(columns, PANELS, strict=True):
        panel.draw(column, select(summary, at=FIT), "weight", STYLES)
        plots.finish(column, "weight of time", panel.label, "at the fitted coefficient")
    plots.legend(figure, [ax, *columns], columns=3)
    return figure


def explains(frame: DataFrame, method: str) -> Iterable[Claim]:
    """Whether one coefficient explains the table."""
    at_fit = select(frame, method=method, at=FIT)
    weights = sorted(set(at_fit["weight"]))
    if not weights:
        return
    left, kappa = (Interval.of(values(at_fit, number, weight=weights[0])) for number in ("residual", "kappa"))
    utility = [float(values(at_fit, "utility", weight=weight).mean()) for weight in weights]
    yield Claim(
        f"With a fitted energy coefficient of the server, Table 3 is that of the {method}",
        "Table 3; the coefficient is not in the text",
        f"utility {at_weights('.3f', PUBLISHED['utility'], WEIGHTS)}",
        f"residual {left.text(100)} % at {kappa.text()} W s^3; utility there {at_weights('.3f', utility, weights)}",
        left.below(MOST),
        "the root mean square of the relative errors of delay and energy over the weights, at the best "
        f"coefficient, is below {100 * MOST:g} %",
    )
