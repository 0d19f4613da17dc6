"""Comparison of methods on the same instances, with gaps to a proved reference: `compare` and its `Report`."""

from offloadopt.evaluation.comparison import InterruptedComparison, compare
from offloadopt.evaluation.report import Report

__all__ = ["InterruptedComparison", "Report", "compare"]
