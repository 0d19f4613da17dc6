"""A user's own instances: templates to fill in, what is read from documents, tables and shards, and what is wrong."""

from offloadopt.own_instances.reading import read_instances, read_scenario
from offloadopt.own_instances.template import template, write_tables

__all__ = ["read_instances", "read_scenario", "template", "write_tables"]
