"""Strategies: pure judgements of stored values, and the forms in which outcomes are stored."""
