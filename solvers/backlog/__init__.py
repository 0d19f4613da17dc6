"""Solvers for buffers that agents empty by local computing and offloading, at the cost of energy."""
