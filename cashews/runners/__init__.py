"""Runners carry out decorated calls: they ask, let the strategy judge, and act; loads take one path."""
