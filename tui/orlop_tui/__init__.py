"""Orlop in a terminal: the commands and the screens over `orlop`, the store library."""
