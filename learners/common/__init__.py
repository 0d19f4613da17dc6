"""What learners share: training progress, networks, distributions, replay, saved policies."""
