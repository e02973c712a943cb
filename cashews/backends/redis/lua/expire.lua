-- Requires: time, tags
-- Gives a key another ttl.
-- KEYS: the key. ARGV: the ttl in milliseconds, '' for no expiry; 0 or less removes the key. Answers 1, or 0 for an
-- absent key.

return expire(KEYS[1], ARGV[1])
