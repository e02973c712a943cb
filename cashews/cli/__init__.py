"""The commands of ``python -m cashews`` besides the tour."""
