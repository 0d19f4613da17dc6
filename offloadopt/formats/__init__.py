"""Formats of files that anybody may have written or changed: what they hold is checked before it is used."""
