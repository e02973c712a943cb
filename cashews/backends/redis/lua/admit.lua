-- Counts a call in a window that begins with its first call; the first refusal begins a ban.
-- KEYS: the tally, a list of one number: no counter, and no value. ARGV: the limit, the window and the ban in
-- milliseconds, '' for no ban. Answers 0 if the call is within the limit, else the milliseconds until the end of the
-- window.

local calls = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
if not calls then return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value') end
local limit = tonumber(ARGV[1])
calls = calls + 1
if calls == 1 then
  redis.call('RPUSH', KEYS[1], calls)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('LSET', KEYS[1], 0, calls)
end
if calls == limit + 1 and ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return calls <= limit and 0 or math.max(redis.call('PTTL', KEYS[1]), 1)
