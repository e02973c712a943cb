-- The roster of a tag in a cluster, a sorted set: each member is the anchor of a slot and the number of a membership,
-- its score the end of the membership in milliseconds.

-- Takes the memberships that have ended out of a roster, which lives as long as the last one.
local function tidy(roster)
  redis.call('ZREMRANGEBYSCORE', roster, '-inf', string.format('%.0f', microseconds() / 1000))
  local last = redis.call('ZRANGE', roster, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', roster)
  elseif last then
    redis.call('PEXPIREAT', roster, string.format('%.0f', last + 1))
  end
end
