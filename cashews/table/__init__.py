"""The state of a store in memory: pure, every instant is an argument."""
