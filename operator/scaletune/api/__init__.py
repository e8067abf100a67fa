"""The nouns: what a Study and a Trial are. Imports nothing else of ours."""
