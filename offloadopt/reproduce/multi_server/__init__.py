"""Tables and figures of DIRS (Jiang et al. 2022, arXiv:2005.12364), with the certified optimum in each of them."""
