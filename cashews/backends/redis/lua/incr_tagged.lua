-- Requires: heads
-- Adds to a counter that may carry tags.
-- KEYS: the counter. ARGV: how much. Answers the digits of the sum.

return incr(KEYS[1], ARGV[1])
