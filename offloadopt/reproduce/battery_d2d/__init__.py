"""Figures of the battery-care offloading after a disaster (arXiv:2312.15380), with rules and the hindsight optimum."""
