"""Locks and transactions of one cache: an actor whose turns are served in place, and a task that renews leases.

Waiting happens in the task that wants the lock, not in a task of the coordinator's. There a middleware finds the
context variables of its caller, a deadline or a cancellation ends one waiter and no queue, and a lock that changes
hands wakes one task instead of two.
"""
