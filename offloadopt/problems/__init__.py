"""One module per paper: scenario, sampling, dynamics, cost."""
