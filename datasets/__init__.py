"""Demonstrations: an expert's solutions collected, stored and read back; and real traces."""
