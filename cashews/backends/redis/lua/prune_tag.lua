-- Requires: time, heads, memberships, tags
-- Takes members out of the index of a tag if their values do not carry it; asked again until the end.
-- KEYS: the index. ARGV: the tag, the member to begin with, how many members to look at, the anchor. Answers where to
-- go on, -1 at the end.

if MOVING then return AGAIN end
local tag, from, many = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local members = redis.call('ZRANGE', ANCHOR .. tag .. INDEX, from, from + many - 1)
for _, key in ipairs(members) do
  if has(tags_of(key), tag) then from = from + 1 else redis.call('ZREM', ANCHOR .. tag .. INDEX, key) end
end
extend_index(tag)
return answer(#members < many and -1 or from)
