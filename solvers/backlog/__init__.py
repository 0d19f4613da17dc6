"""Buffers that agents empty by CPU and over the air, at the cost of energy."""
