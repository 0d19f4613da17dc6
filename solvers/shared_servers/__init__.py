"""Solvers of slots whose servers share bandwidth equally among their users and CPU optimally."""
