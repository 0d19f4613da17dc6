"""Readable Pyomo models of the problems, to be checked against the papers, and their general solvers."""
