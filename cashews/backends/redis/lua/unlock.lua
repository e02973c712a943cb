-- Requires: fences
-- Releases a lock, if the token holds it, and tells all who listen to the channel of its name.
-- KEYS: the lock, its last fencing number. ARGV: the token. Answers 1, or 0 if the token does not hold it.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
keep_fence(KEYS[2], 0)
redis.pcall('PUBLISH', KEYS[1], '') -- the server may forbid us to publish: the lock is free all the same
return 1
