-- Requires: time, fences
-- Takes a lock.
-- KEYS: the lock, its last fencing number. ARGV: the token, the lease in milliseconds or '' for no expiry. Answers the
-- fencing number, -1 if another holds the lock. The number is the server's time in microseconds, or one more than the
-- last, so that it grows although the clock is set back.

local lease = ARGV[2]
local taken
if lease == '' then
  taken = redis.call('SET', KEYS[1], ARGV[1], 'NX')
else
  taken = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', lease)
end
if not taken then return -1 end
local fence = math.max(microseconds(), tonumber(redis.call('GET', KEYS[2]) or 0) + 1)
redis.call('SET', KEYS[2], string.format('%.0f', fence))
keep_fence(KEYS[2], lease)
return fence
