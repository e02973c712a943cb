-- Requires: time, heads, memberships, tags
-- Stores a value that carries tags, or one that carries none in the place of one that may have carried some.
-- KEYS: the key. ARGV: the value with its head, its ttl in milliseconds or '', 'NX', 'XX' or '', the mark of its load
-- or '', each tag, the anchor. Answers 1, or false if it is not stored.

local words, tags = {ARGV[1]}, {}
for i = 5, #ARGV do tags[#tags + 1] = ARGV[i] end
if overtaken(tags, ARGV[4]) then return answer(false) end
want(tags, ARGV[2])
local why = hindrance()
if why then return why end
if ARGV[2] ~= '' then words[2], words[3] = 'PX', ARGV[2] end
if ARGV[3] ~= '' then words[#words + 1] = ARGV[3] end
return answer(store(KEYS[1], tags, ARGV[2], unpack(words)))
