"""The one harness: every method decides the same instances and is measured against the same proof."""

from offloadopt.evaluation.comparison import compare
from offloadopt.evaluation.report import Report

__all__ = ["Report", "compare"]
