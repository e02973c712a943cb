-- Counts an event in a window of a sliding log, unless the window is full. Windows of several lengths may share a log:
-- an event stays until it has left the longest of them.
-- KEYS: the log. ARGV: the window's start and end, how many events it may hold, the milliseconds that the log is to
-- live for, '' for no change; it lives for the longest time that was asked for. Answers how many events the window
-- holds with this one, one more than it may hold if it is refused, and then the oldest of them, else ''.

-- The first member of a log begins with this mark. Behind it stand the longest window and the longest time to live.
local MARK = 'longest '

local function text(number) return string.format('%.17g', number) end

local first, last, most, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]) or 0
local head = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
local span = math.ceil((last - first) * 1000) / 1000
local marked = head and string.sub(head, 1, #MARK) == MARK
if marked then
  local longest, life = string.match(head, '(%S+) (%S+)$')
  span, lease = math.max(span, tonumber(longest)), math.max(lease, tonumber(life))
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(-inf', text(math.min(first, last - span)))
local count = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
if count >= most then lease = marked and tonumber(string.match(head, '%S+$')) or 0 end
local mark = MARK .. text(span) .. ' ' .. text(lease)
if mark ~= head then
  if marked then redis.call('ZREM', KEYS[1], head) end
  redis.call('ZADD', KEYS[1], '-inf', mark)
end
if count >= most then
  return { most + 1, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] }
end
local number = count
while redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[2] .. ':' .. number) == 0 do number = number + 1 end
if ARGV[4] ~= '' then
  local left = redis.call('PTTL', KEYS[1])
  if not head or (left >= 0 and left < lease) then redis.call('PEXPIRE', KEYS[1], lease) end
end
return { count + 1, '' }
