-- Requires: time, roster
-- Begins a membership in the roster of a tag. It lasts a minute longer there than in its slot: the clocks of two nodes
-- may differ by so much.
-- KEYS: the roster, the instant of the last deletion. ARGV: the anchor of the slot, the number of its last membership,
-- the milliseconds of this one, '' for ever. Answers its number, which is higher, and that instant, '0' if there is
-- none.

local number = string.format('%.0f', math.max(microseconds(), ARGV[2] + 1))
local ends = '+inf'
if ARGV[3] ~= '' then ends = string.format('%.0f', microseconds() / 1000 + ARGV[3] + 60000) end
redis.call('ZADD', KEYS[1], 'GT', ends, ARGV[1] .. number)
tidy(KEYS[1])
return {number, redis.call('GET', KEYS[2]) or '0'}
