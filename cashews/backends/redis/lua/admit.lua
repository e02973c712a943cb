-- Counts a call in a window that begins with its first call; the first refusal begins a ban.
-- KEYS: the tally. ARGV: the limit, the window and the ban in milliseconds, '' for no ban. Answers 1 if the call is
-- within the limit, else 0.

local calls = redis.call('INCR', KEYS[1])
local limit = tonumber(ARGV[1])
if calls == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if calls == limit + 1 and ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return calls <= limit and 1 or 0
