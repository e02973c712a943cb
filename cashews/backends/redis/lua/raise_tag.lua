-- Notes the deletion of a tag in a cluster, and reads which slots may have values that carry it.
-- KEYS: the roster, the instant of the last deletion. ARGV: the instant. Answers the members of the roster.

local before = redis.call('GET', KEYS[2])
if not before or tonumber(before) < tonumber(ARGV[1]) then redis.call('SET', KEYS[2], ARGV[1], 'EX', 3600) end
return redis.call('ZRANGE', KEYS[1], 0, -1)
