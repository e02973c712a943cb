-- The last fencing numbers of locks.

local HOUR = 3600000 -- milliseconds

-- Has a number live an hour longer than its lock, whose lease is given in milliseconds; '' means no expiry. After a
-- clock was set back by less than that, the number is still there, and so numbers grow.
local function keep_fence(key, lease)
  if lease == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, lease + HOUR) end
end
