"""Readers of recorded data: locations, requests, solar energy and carbon intensity."""
