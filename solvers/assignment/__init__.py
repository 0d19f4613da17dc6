"""Solvers of task assignment whose continuous decisions (power, CPU shares) are optimal for each assignment."""
