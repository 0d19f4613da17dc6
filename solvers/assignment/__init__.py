"""Assignments of tasks to servers whose continuous decisions follow optimally."""
