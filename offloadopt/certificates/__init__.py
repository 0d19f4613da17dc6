"""Certificates: files that prove lower bounds, and their checker in exact arithmetic, by the standard library alone."""
