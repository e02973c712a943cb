-- Requires: time, tags
-- Removes keys, and takes them out of the indexes of their tags.
-- KEYS: the keys. Answers how many there were.

local deleted = 0
for _, key in ipairs(KEYS) do deleted = deleted + delete(key) end
return deleted
