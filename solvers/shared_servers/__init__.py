"""Slots whose servers share bandwidth by number of users and CPU by need."""
