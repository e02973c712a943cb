-- Counts an event in a window of a sliding log, unless the window is full.
-- KEYS: the log. ARGV: the window's start and end, how many events it may hold, the log's ttl in milliseconds or ''.
-- Answers how many events it holds with this one, one more than it may hold if it is refused.

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
local count = redis.call('ZCARD', KEYS[1])
local most = tonumber(ARGV[3])
if count >= most then return most + 1 end
local number = count
while redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[2] .. ':' .. number) == 0 do number = number + 1 end
if ARGV[4] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return count + 1
