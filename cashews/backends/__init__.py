"""Where values are kept: the contract of a store, and one package per store."""
