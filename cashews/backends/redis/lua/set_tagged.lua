-- Requires: time, heads, memberships, tags
-- Stores a value that carries tags, or one that carries none in the place of one that may have carried some.
-- KEYS: the key. ARGV: the value with its head, its ttl in milliseconds or '', 'NX', 'XX' or '', the mark of its load
-- or '', the digest of the only value that may be replaced or '', the number of its tags, these, each other tag whose
-- deletion overtakes the load, the anchor. Answers 1, or false if it is not stored.

local words, own, every = {ARGV[1]}, {}, words_from(ARGV, 7)
for i = 1, tonumber(ARGV[6]) do own[i] = every[i] end
if overtaken(every, ARGV[4]) then return answer(false) end
if ARGV[5] ~= '' and digest_of(KEYS[1]) ~= ARGV[5] then return answer(false) end
want(every, ARGV[2])
local why = hindrance()
if why then return why end
if ARGV[2] ~= '' then words[2], words[3] = 'PX', ARGV[2] end
if ARGV[3] ~= '' then words[#words + 1] = ARGV[3] end
return answer(store(KEYS[1], own, ARGV[2], unpack(words)))
