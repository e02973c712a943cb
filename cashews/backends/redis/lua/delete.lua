-- Requires: time, heads, memberships, tags
-- Removes keys, and takes them out of the indexes of their tags.
-- KEYS: the keys. ARGV: 1 to have those who track a key that is absent told of its removal, else 0; the anchor.
-- Answers how many there were.

local deleted = 0
for _, key in ipairs(KEYS) do
  local found = delete(key)
  deleted = deleted + found
  if found == 0 and ARGV[1] == '1' then tell(key) end
end
return answer(deleted)
