"""Value decomposition networks: the team's value is the sum of the agents' utilities."""
