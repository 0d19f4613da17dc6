"""DIRS: an ensemble of one network per server that imitates an exact expert (arXiv:2005.12364)."""
