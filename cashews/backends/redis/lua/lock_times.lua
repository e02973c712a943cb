-- Reads how long locks last.
-- KEYS: the locks. Answers the PTTL of each.

local times = {}
for i, lock in ipairs(KEYS) do times[i] = redis.call('PTTL', lock) end
return times
