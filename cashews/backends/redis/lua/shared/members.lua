-- The members of sets.

-- Adds words[from] and all behind it to a set. It then lives for `ttl` milliseconds at least; '' means no expiry.
local function add_members(key, ttl, words, from)
  local left = redis.call('PTTL', key)
  for i = from, #words do redis.call('SADD', key, words[i]) end
  if ttl == '' then
    redis.call('PERSIST', key)
  elseif left == -2 or (left >= 0 and left < tonumber(ttl)) then
    redis.call('PEXPIRE', key, ttl)
  end
end
