"""Structures: values with commands of their own, which change them in place. Pure."""
