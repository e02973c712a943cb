-- Reads unsigned fields of some bits, or adds to them within their range. They begin behind a mark of two bytes.
-- KEYS: the fields. ARGV: the bits of one field, how much to add or '' to read, each index. Answers the fields; from 53
-- bits on each is a pair of its high bits and its low 32, since numbers of scripts have 53.

local size, by = tonumber(ARGV[1]), ARGV[2]
local mark = redis.call('GETRANGE', KEYS[1], 0, 1)
if mark ~= '\0B' and redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.error_reply('WRONGTYPE no bit field')
end
if by ~= '' and mark == '' then redis.call('SET', KEYS[1], '\0B') end

local function read(bits, offset) return redis.call('BITFIELD_RO', KEYS[1], 'GET', 'u' .. bits, offset)[1] end

local function field(offset)
  if size < 53 then return read(size, offset) end
  return {read(size - 32, offset), read(32, offset + size - 32)}
end

local fields = {}
for i = 3, #ARGV do
  local offset = ARGV[i] * size + 16
  if by ~= '' then redis.call('BITFIELD', KEYS[1], 'OVERFLOW', 'SAT', 'INCRBY', 'u' .. size, offset, by) end
  fields[i - 2] = field(offset)
end
return fields
