"""How fast the library is, next to its peers and to the original; `python -m benchmarks` measures and reports."""
