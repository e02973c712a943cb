-- Requires: time, roster
-- Ends memberships in the roster of a tag.
-- KEYS: the roster. ARGV: the members.

for _, member in ipairs(ARGV) do redis.call('ZREM', KEYS[1], member) end
tidy(KEYS[1])
