"""Tries from seeds to break the package: ``make fuzz SECONDS=600 SEED=0``.

A class of tries (`fuzz.classes`) makes try number n of a seed; a forked worker process runs it (`fuzz.worker`), so that
a crash and a hang are seen; `fuzz.judge` says whether what came out is a fault; a fault is made small (`fuzz.shrink`).
"""
