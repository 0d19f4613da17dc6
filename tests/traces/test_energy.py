"""Tables of other packages: sunshine under a clear sky, carbon of a country's grid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from offloadopt.errors import OffloadError, UnknownName
from offloadopt.traces.energy import MINUTES, clear_sky_w_per_m2, country_carbon_g_per_kwh


def test_the_clear_sky_is_dark_at_night_and_brightest_near_solar_noon() -> None:
    pytest.importorskip("pvlib")
    sky = clear_sky_w_per_m2(24.7, 46.7, date(2026, 6, 21))
    assert sky.shape == (MINUTES,)
    assert sky.min() == 0.0
    assert 900 < sky.max() < 1100
    # At 46.7 degrees east the sun is highest some 187 minutes before noon UTC.
    assert np.argmax(sky) == pytest.approx(12 * 60 - 46.7 * 4, abs=10)
    assert np.mean(sky > 0) == pytest.approx(13.7 / 24, abs=0.02)


def test_a_country_s_carbon_is_in_grams_per_kilowatt_hour() -> None:
    pytest.importorskip("codecarbon")
    assert 5 < country_carbon_g_per_kwh("SWE") < 100 < 400 < country_carbon_g_per_kwh("POL") < 1100
    with pytest.raises(UnknownName, match=r"no country 'POLL'.*did you mean 'POL'"):
        country_carbon_g_per_kwh("POLL")


@pytest.mark.parametrize(
    ("look_up", "package"),
    [
        (lambda: country_carbon_g_per_kwh("SAU"), "codecarbon"),
        (lambda: clear_sky_w_per_m2(1.25, 2.5, date(2026, 6, 21)), "pvlib"),
    ],
)
def test_a_table_that_is_not_installed_is_asked_for(
    look_up: Callable[[], object], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offloadopt.traces.energy.find_spec", lambda name: None)
    country_carbon_g_per_kwh.cache_clear()
    clear_sky_w_per_m2.cache_clear()
    with pytest.raises(OffloadError, match=f"{package}.*offloadopt\\[traces\\]"):
        look_up()
