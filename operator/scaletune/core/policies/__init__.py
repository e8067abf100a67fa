"""The search policies: one file, one policy, one key in the YAML."""
