"""Arrays in, arrays out: no Study, no Trial, and no randomness of its own."""
