-- Requires: time
-- Counts a call in a window that begins with its first call; the first refusal begins a ban. Windows of several lengths
-- may share a tally, a hash: each has two fields of its own, so that it is the same as if it were alone.
-- KEYS: the tally. ARGV: the limit, the window and the ban in milliseconds, '' for no ban. Answers 1 if the call is
-- within the limit, else 0.

local limit, now = tonumber(ARGV[1]), microseconds() / 1000
local calls_field, until_field = 'calls ' .. ARGV[2], 'until ' .. ARGV[2]
local phase, calls, till = unpack(redis.call('HMGET', KEYS[1], 'phase', calls_field, until_field))
if phase then return redis.error_reply('WRONGTYPE a circuit') end
calls, till = tonumber(calls or 0) + 1, tonumber(till or 0)
if now >= till then calls, till = 1, now + ARGV[2] end
if calls == limit + 1 and ARGV[3] ~= '' then till = now + ARGV[3] end
redis.call('HSET', KEYS[1], calls_field, calls, until_field, string.format('%.3f', till))
local left = math.ceil(till - now)
if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
return calls <= limit and 1 or 0
