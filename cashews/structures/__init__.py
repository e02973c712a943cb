"""Values that commands of their own change in place. Pure."""
