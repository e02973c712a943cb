"""The HTTP cache policy, pure: which responses may be stored and reused, for how long, and by which clients.

It is a shared cache in the sense of RFC 9111. Nothing here reads a clock, waits, or raises for the text of a field.
"""
