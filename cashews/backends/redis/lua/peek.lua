-- Requires: heads
-- Reads all there is about a key.
-- KEYS: the key. Answers its type, its value or members (false for other types), its PTTL and its tags.

local kind = redis.call('TYPE', KEYS[1]).ok
local found = false
if kind == 'string' then found = redis.call('GET', KEYS[1]) end
if kind == 'set' then found = redis.call('SMEMBERS', KEYS[1]) end
return {kind, found, redis.call('PTTL', KEYS[1]), (tags_of(KEYS[1]))}
