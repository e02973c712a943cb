-- Stores several values that expire, where no value carries tags.
-- KEYS: the keys. ARGV: the ttl in milliseconds, each value.

for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end
