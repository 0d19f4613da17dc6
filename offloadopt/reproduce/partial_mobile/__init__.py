"""Tables and figures of the discretised DDPG for moving users (JEIT 2024 no. 4), with the exact optimum beside them."""

from offloadopt.reproduce.partial_mobile.plan import make

__all__ = ["make"]
