-- Requires: time, heads, memberships, tags
-- Gives a key another ttl.
-- KEYS: the key. ARGV: the ttl in milliseconds, '' for no expiry; 0 or less removes the key; the anchor.
-- Answers 1, or 0 for an absent key.

if ARGV[1] == '' or tonumber(ARGV[1]) > 0 then want(tags_of(KEYS[1]), ARGV[1]) end
local why = hindrance()
if why then return why end
return answer(expire(KEYS[1], ARGV[1]))
