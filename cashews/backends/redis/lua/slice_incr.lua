-- Counts an event in a window of a sliding log, unless the window is full. Windows of several lengths may share a log:
-- it keeps the events of the longest one.
-- KEYS: the log. ARGV: the window's start and end, how many events it may hold, the milliseconds that the log lives for
-- at least, '' for no change. Answers how many events it holds with this one, one more than it may hold if it is refused.

local SPAN = 'span ' -- the first member of a log: behind this word stands the length of the longest window

local first, last, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local head = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
local longest = head and string.sub(head, 1, #SPAN) == SPAN and tonumber(string.sub(head, #SPAN + 1))
local span = math.ceil((last - first) * 1000) / 1000
if longest and longest >= span then
  span = longest
else
  if longest then redis.call('ZREM', KEYS[1], head) end
  redis.call('ZADD', KEYS[1], '-inf', SPAN .. string.format('%.17g', span))
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(-inf', string.format('%.17g', math.min(first, last - span)))
local count = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
if count >= most then return most + 1 end
local number = count
while redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[2] .. ':' .. number) == 0 do number = number + 1 end
if ARGV[4] ~= '' and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return count + 1
