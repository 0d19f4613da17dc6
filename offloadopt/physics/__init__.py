"""What the problems share: channel and computing formulas, in SI units."""
