"""The decisions: pure functions of a snapshot. No clock, no I/O, no hidden randomness."""
