-- Reads values with their times to live, all of one instant.
-- KEYS: the keys. Answers the PTTL and the value of each in turn; a key of another kind has no value.

local found = {}
for i, key in ipairs(KEYS) do
  found[2 * i - 1] = redis.call('PTTL', key)
  local value = redis.pcall('GET', key)
  found[2 * i] = type(value) == 'string' and value
end
return found
