"""The state of the memory store, and the turns that change it. Pure: every instant is an argument."""
