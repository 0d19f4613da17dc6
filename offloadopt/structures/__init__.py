"""What problems share and solvers exploit: one contract a structure, without any problem's name."""
