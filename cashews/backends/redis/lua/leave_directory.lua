-- Requires: time, directory
-- Ends memberships in the directory of a tag.
-- KEYS: the directory. ARGV: the members.

for _, member in ipairs(ARGV) do redis.call('ZREM', KEYS[1], member) end
tidy(KEYS[1])
