"""Tables and figures of CADDTO-PPO (arXiv:2602.18797) and its ancestor, with the hindsight bound beside them."""
