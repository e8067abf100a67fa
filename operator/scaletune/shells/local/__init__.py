"""Trials as processes of this machine, state as plain YAML in a folder."""
