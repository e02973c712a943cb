"""A module of cashews 7: its names still work, with a warning that tells the new ones."""

from cashews._deprecated import names_of

__getattr__ = names_of(__name__)
