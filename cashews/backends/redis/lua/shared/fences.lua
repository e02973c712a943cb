-- The last fencing numbers of locks.

local HOUR = 3600000 -- milliseconds

-- Has a number live an hour longer than its lock, whose lease is given in milliseconds; '' means no expiry. A clock that
-- is set back by less than that finds it, and so numbers grow.
local function keep_fence(key, lease)
  if lease == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, lease + HOUR) end
end
