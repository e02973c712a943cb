-- Requires: fences
-- Frees a lock, whichever token holds it, and tells all who listen to the channel of its name.
-- KEYS: the lock, its last fencing number. Answers 1, or 0 if nobody holds it.

if redis.call('DEL', KEYS[1]) == 0 then return 0 end
keep_fence(KEYS[2], 0)
redis.pcall('PUBLISH', KEYS[1], '') -- the server may forbid us to publish: the lock is free all the same
return 1
