-- Requires: time, heads, memberships, tags
-- Stores several values without tags in the place of some that may have carried tags.
-- KEYS: the keys. ARGV: the ttl in milliseconds or '', each value, the anchor.

for i, key in ipairs(KEYS) do
  if ARGV[1] == '' then store(key, {}, '', ARGV[i + 1]) else store(key, {}, '', ARGV[i + 1], 'PX', ARGV[1]) end
end
return answer(false)
