-- Requires: time, tags
-- Deletes some of the values that carry a tag; asked again until none is left.
-- ARGV: the tag, how many members of the index to look at, '1' the first time. Answers how many members are left.

local tag = ARGV[1]
if ARGV[3] == '1' then remember_deletion(tag) end
delete_carriers(tag, tonumber(ARGV[2]))
return redis.call('ZCARD', tag .. INDEX)
