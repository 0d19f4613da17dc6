"""Solvers: each returns decisions with what it can prove about them."""
