"""What the server carries out in one turn: commands that read, decide and write.

Instants inside scripts are the server's own. Durations come in milliseconds; 0 or less removes the key, an empty text
means no expiry.
"""

from __future__ import annotations

from typing import Final

from cashews.backends.redis.script import Script
from cashews.backends.redis.tagged import COMMON

GET_HIT: Final = Script(r"""
local value = redis.call('GET', KEYS[1])
if not value then return {value, 0} end
local head = 0
if string.sub(value, 1, 2) == '\0G' and #value >= 6 then head = struct.unpack('>I4', value, 3) end
if string.sub(value, head + 1, head + 2) ~= '\0H' then return {value, 0} end
local hits = struct.unpack('>I8', value, head + 3) + 1
redis.call('SETRANGE', KEYS[1], head + 2, struct.pack('>I8', hits))
return {value, hits}
""")

INCR: Final = Script("""
local new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
local value = redis.call('GET', KEYS[1])
if new then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value
""")

SET_MANY: Final = Script("""
for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end
""")

SET_ADD: Final = Script("""
local left = redis.call('PTTL', KEYS[1])
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
if ARGV[1] == '' then
  redis.call('PERSIST', KEYS[1])
elseif left == -2 or (left >= 0 and left < tonumber(ARGV[1])) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
""")

WIDE: Final = 53
"""From how many bits on a field is answered in two parts: numbers of scripts have 53."""
LOW: Final = 32
"""How many bits the second part has."""
BITS: Final = Script(r"""
-- ARGV: size, by ('' to read), index...; the fields begin behind a mark of two bytes
local size = tonumber(ARGV[1])
local mark = redis.call('GETRANGE', KEYS[1], 0, 1)
if mark ~= '\0B' and redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.error_reply('WRONGTYPE no bit field')
end
if ARGV[2] ~= '' and mark == '' then redis.call('SET', KEYS[1], '\0B') end

local function read(bits, offset) return redis.call('BITFIELD_RO', KEYS[1], 'GET', 'u' .. bits, offset)[1] end

local function field(offset)
  if size < 53 then return read(size, offset) end
  return {read(size - 32, offset), read(32, offset + size - 32)}
end

local fields = {}
for i = 3, #ARGV do
  local offset = ARGV[i] * size + 16
  if ARGV[2] ~= '' then
    redis.call('BITFIELD', KEYS[1], 'OVERFLOW', 'SAT', 'INCRBY', 'u' .. ARGV[1], offset, ARGV[2])
  end
  fields[i - 2] = field(offset)
end
return fields
""")

SLICE_INCR: Final = Script("""
-- ARGV: start, end, most, ttl
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
local count = redis.call('ZCARD', KEYS[1])
local most = tonumber(ARGV[3])
if count >= most then return most + 1 end
local number = count
while redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[2] .. ':' .. number) == 0 do number = number + 1 end
if ARGV[4] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return count + 1
""")

ADMIT: Final = Script("""
-- ARGV: limit, period, ban
local calls = redis.call('INCR', KEYS[1])
local limit = tonumber(ARGV[1])
if calls == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if calls == limit + 1 and ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return calls <= limit and 1 or 0
""")

LOCK: Final = Script("""
-- ARGV: token, ttl; answers a fencing number, -1 if another holds it
-- the number is the server's time in microseconds, or one more than the last
local taken = ARGV[2] == '' and redis.call('SET', KEYS[1], ARGV[1], 'NX')
  or ARGV[2] ~= '' and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not taken then return -1 end
local time = redis.call('TIME')
local fence = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('GET', KEYS[2]) or 0) + 1)
redis.call('SET', KEYS[2], string.format('%.0f', fence))
return fence
""")

RENEW: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")

UNLOCK: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', KEYS[1], '')  -- which a user of the server may not be allowed to
return 1
""")

_CIRCUIT = """
-- The state machine of cashews.structures.circuit; instants in milliseconds of the server.
-- ARGV: errors_rate, period, ttl, half_open_ttl, min_calls, entered, failed
local rate, period, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local half_open_ttl, min_calls = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local kept = redis.call('HMGET', KEYS[1], 'phase', 'changed', 'until', 'calls', 'failures', 'tries')
local c = {
  phase = kept[1] or 'closed', changed = tonumber(kept[2] or 0), till = tonumber(kept[3] or 0),
  calls = tonumber(kept[4] or 0), failures = tonumber(kept[5] or 0), tries = tonumber(kept[6] or 0),
}

local function live(milliseconds)
  if redis.call('PTTL', KEYS[1]) < milliseconds then redis.call('PEXPIRE', KEYS[1], math.ceil(milliseconds)) end
end

local function keep()
  redis.call('HSET', KEYS[1], 'phase', c.phase, 'changed', string.format('%.3f', c.changed),
    'until', string.format('%.3f', c.till), 'calls', c.calls, 'failures', c.failures, 'tries', c.tries)
end

local function turn(phase, since, till)
  c.phase, c.changed, c.till, c.calls, c.failures, c.tries = phase, since, till, 0, 0, 0
end

local function open_window()
  c.calls, c.failures, c.till = 0, 0, now + period
  keep()
  live(period)
end

if c.phase == 'open' and now >= c.till then
  if half_open_ttl then turn('half open', c.till, c.till + half_open_ttl) else turn('closed', c.till, 0) end
end
if c.phase == 'half open' and now >= c.till then turn('closed', c.till, 0) end
"""

ENTER_CIRCUIT: Final = Script(
    _CIRCUIT
    + """
if c.phase == 'open' then return false end
if c.phase == 'half open' then
  c.tries = c.tries + 1
  keep()
  if c.tries % 2 == 0 then return false end
elseif now >= c.till then
  open_window()
end
return string.format('%.3f', now)
"""
)

REPORT_CIRCUIT: Final = Script(
    _CIRCUIT
    + """
if tonumber(ARGV[6]) < c.changed or c.phase == 'open' then return end
if c.phase == 'closed' then
  if now >= c.till then open_window() end
  c.calls = c.calls + 1
end
if ARGV[7] == '1' then
  c.failures = c.failures + 1
  if c.phase == 'half open' or (c.calls >= min_calls and c.failures * 100 >= rate * c.calls) then
    turn('open', now, now + ttl)
  end
end
keep()
if c.phase == 'open' then live(ttl + (half_open_ttl or 0) + ttl + period) end
"""
)

PEEK: Final = Script(
    COMMON
    + """
local kind = redis.call('TYPE', KEYS[1]).ok
local found = false
if kind == 'string' then found = redis.call('GET', KEYS[1]) end
if kind == 'set' then found = redis.call('SMEMBERS', KEYS[1]) end
return {kind, found, redis.call('PTTL', KEYS[1]), (tags_of(KEYS[1]))}
"""
)

COMMIT: Final = Script(
    COMMON
    + """
-- KEYS: a counter of ours, the locks, the keys; ARGV: how many locks, their tokens, how many tags, the tags to delete,
-- then each command after its length
local locks = tonumber(ARGV[1])
for i = 1, locks do
  if redis.call('GET', KEYS[i + 1]) ~= ARGV[i + 1] then return 0 end
end
local tags = tonumber(ARGV[locks + 2])
local commands, at = {}, locks + tags + 3
while at <= #ARGV do
  local words = {}
  for i = 1, tonumber(ARGV[at]) do words[i] = ARGV[at + i] end
  if #words > 0 then commands[#commands + 1] = words end
  at = at + #words + 1
end

-- Whatever can be refused is refused here, before anything is applied: a server out of memory, another kind of value.
if #commands + tags > 0 then redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) or '0') end
local wrong_type = redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
local refusal, removed, counted = nil, {}, {}
for _, words in ipairs(commands) do
  local command, key = words[1], words[2]
  if command == 'del' then
    removed[key] = true
  elseif command == 'incr' then
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= 'string' then refusal = wrong_type break end
    if counted[key] == nil then counted[key] = redis.call('GET', key) end
    local reply = incr(key, words[3])
    if type(reply) == 'table' and reply.err then refusal = reply break end
  elseif (command == 'sadd' or command == 'srem') and not removed[key] then
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= 'set' then refusal = wrong_type break end
  end
end
for key, value in pairs(counted) do
  if value then redis.call('SET', key, value, 'KEEPTTL') else redis.call('DEL', key) end
end
if refusal then return refusal end

local apply = {del = delete}
function apply.set(key, words)
  local own = {}
  for i = 6, #words do own[i - 5] = words[i] end
  if overtaken(own, words[5]) then return end
  if words[4] == '' then set(key, own, '', words[3]) else set(key, own, words[4], words[3], 'PX', words[4]) end
end
function apply.incr(key, words)
  local new = redis.call('EXISTS', key) == 0
  incr(key, words[3])
  if new and words[4] ~= '' then redis.call('PEXPIRE', key, words[4]) end
end
function apply.expire(key, words) expire(key, words[3]) end
function apply.sadd(key, words)
  local left = redis.call('PTTL', key)
  for i = 4, #words do redis.call('SADD', key, words[i]) end
  if words[3] == '' then
    redis.call('PERSIST', key)
  elseif left == -2 or (left >= 0 and left < tonumber(words[3])) then
    redis.call('PEXPIRE', key, words[3])
  end
end
function apply.srem(key, words)
  for i = 3, #words do redis.call('SREM', key, words[i]) end
end
for i = 1, tags do
  local tag = ARGV[locks + 2 + i]
  remember_deletion(tag)
  while redis.call('EXISTS', INDEX .. tag) == 1 do delete_carriers(tag, 1000) end
end
for _, words in ipairs(commands) do apply[words[1]](words[2], words) end
for i = 2, locks + 1 do
  redis.call('DEL', KEYS[i])
  redis.pcall('PUBLISH', KEYS[i], '')
end
return 1
"""
)
