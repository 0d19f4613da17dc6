"""Independent learners: each agent learns from its own view and its own cost."""
