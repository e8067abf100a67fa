"""How running trials are heard: through Prometheus, or from their endpoints directly."""
