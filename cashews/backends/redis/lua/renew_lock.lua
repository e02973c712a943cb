-- Requires: fences
-- Gives a lock another lease, if the token holds it.
-- KEYS: the lock, its last fencing number. ARGV: the token, the lease in milliseconds. Answers 1, or 0 if the token does
-- not hold it.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
keep_fence(KEYS[2], ARGV[2])
return 1
