"""Refusal: the input is invalid, and here is where and what to do; exit code 2."""


class Refusal(Exception):
    """An error of the input, in words for whoever wrote it."""
