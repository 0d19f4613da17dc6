"""Energy data of a place: clear-sky irradiance, and carbon intensity of a country's grid.

Both come from tables of other packages (extra ``traces``); nothing is downloaded.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.errors import InvalidInput, OffloadError, UnknownName, nearest

MINUTES = 24 * 60


@cache
def clear_sky_w_per_m2(latitude: float, longitude: float, day: date) -> FloatArray:
    """Compute the clear-sky global horizontal irradiance in W/m2 ``[1440]``, minute by minute from midnight UTC.

    The model is Ineichen and Perez's with pvlib's table of Linke turbidity.

    Raises
    ------
    OffloadError
        If pvlib is not installed.
    """
    if find_spec("pvlib") is None:
        raise OffloadError("clear-sky power needs pvlib (not installed): pip install 'offloadopt[traces]'")
    import pandas as pd
    import pvlib

    times = pd.date_range(pd.Timestamp(day), periods=MINUTES, freq="min", tz="UTC")
    sky = pvlib.location.Location(latitude, longitude).get_clearsky(times)
    return np.asarray(sky["ghi"], dtype=np.float64)


@cache
def country_carbon_g_per_kwh(country: str) -> float:
    """Look up the mean carbon intensity of a country's grid in g/kWh, in codecarbon's table and for its year.

    Parameters
    ----------
    country : str
        Three-letter ISO code, for example ``"SAU"``.

    Raises
    ------
    OffloadError
        If codecarbon is not installed.
    """
    found = find_spec("codecarbon")
    if found is None or found.origin is None:
        raise OffloadError(
            "a country's carbon needs codecarbon, which is not installed: pip install 'offloadopt[traces]'"
        )
    table = Path(found.origin).parent / "data" / "private_infra" / "global_energy_mix.json"
    mix = json.loads(table.read_text())
    if country not in mix:
        raise UnknownName(f"no country {country!r} in codecarbon's table; {nearest(country, mix)}")
    intensity = mix[country].get("carbon_intensity")
    if intensity is None:
        raise InvalidInput(f"codecarbon's table gives no carbon intensity of {country!r}")
    return float(intensity)
