-- Requires: time
-- Asks the clock of all tags in a cluster, which never answers the same instant twice. Nodes have clocks of their own:
-- the instant of a deletion and that at which a load began are told by this one.
-- KEYS: the clock. Answers the instant in microseconds.

local instant = math.max(microseconds(), tonumber(redis.call('GET', KEYS[1]) or 0) + 1)
redis.call('SET', KEYS[1], string.format('%.0f', instant), 'EX', 3600)
return instant
