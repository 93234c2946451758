"""What the user gave and can't be used."""


class BadInput(Exception):
    """Something that the user gave can't be used: one line that names it and the remedy."""
