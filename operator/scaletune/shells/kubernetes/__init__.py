"""Trials as Jobs on a cluster, state in the API server."""
