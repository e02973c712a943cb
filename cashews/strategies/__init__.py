"""Strategies judge what was found, guards stand before a call, the runner carries out what they say."""
