"""Tables and figures of the discretised DDPG for moving users (JEIT 2024 no. 4), with the exact optimum beside them."""
