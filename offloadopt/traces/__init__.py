"""Readers of recorded inputs: locations, requests, solar energy and carbon intensity."""
