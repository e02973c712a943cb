-- Requires: members
-- Adds members to a set.
-- KEYS: the set. ARGV: the milliseconds that it lives for at least, '' for no expiry, each member.

add_members(KEYS[1], ARGV[1], ARGV, 2)
