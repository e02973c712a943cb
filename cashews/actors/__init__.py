"""The actors' common parts: the event loop underneath, mailboxes, the life cycle, the scope of tasks."""
