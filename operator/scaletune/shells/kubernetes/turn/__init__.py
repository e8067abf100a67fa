"""One turn over a study: what is entered, decided, stored and carried out, in that order."""
