"""Locks and transactions of one cache."""
