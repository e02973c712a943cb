-- Requires: time, heads, memberships, tags
-- Deletes some of the values that carry a tag; asked again until none is left.
-- KEYS: the index. ARGV: the tag, how many members of the index to look at, '1' the first time; on a cluster the
-- instant of the deletion and the number of the slot's last membership in the roster; the anchor. Answers how many
-- members are left.

local tag = ARGV[1]
if MOVING then return AGAIN end
if ARGV[3] == '1' then remember_deletion(tag, ARGV[4], ARGV[5]) end
delete_carriers(tag, tonumber(ARGV[2]))
return answer(redis.call('ZCARD', ANCHOR .. tag .. INDEX))
