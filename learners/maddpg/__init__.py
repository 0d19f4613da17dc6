"""Multi-agent DDPG with central critics."""
