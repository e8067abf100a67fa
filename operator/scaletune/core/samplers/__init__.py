"""The samplers: one file, one sampler, one key in the YAML; `sampler` is what the core asks."""
