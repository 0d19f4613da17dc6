"""Inference tasks that share CPU and bandwidth of users and servers."""
