"""Figures of edge inference under a digital twin (doi:10.11897/SP.J.1016.2025.01763), with rules and the optimum."""
