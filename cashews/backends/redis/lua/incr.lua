-- Adds to a counter, which gets a ttl when it is created.
-- KEYS: the counter. ARGV: how much, the ttl in milliseconds. Answers the digits of the sum: numbers of scripts have 53
-- bits, and counters 64.

local new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
local value = redis.call('GET', KEYS[1])
if new then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value
