-- The state machine of `cashews.structures.circuit` in a hash; instants in milliseconds of the server.
-- KEYS: the circuit. ARGV: errors_rate, period, ttl, half_open_ttl or '', min_calls; all durations in milliseconds.

local rate, period, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local half_open_ttl, min_calls = tonumber(ARGV[4]), tonumber(ARGV[5])
local now = microseconds() / 1000
local kept = redis.call('HMGET', KEYS[1], 'phase', 'changed', 'until', 'calls', 'failures', 'tries')
if not kept[1] and redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('WRONGTYPE no circuit') end
local circuit = {
  phase = kept[1] or 'closed', changed = tonumber(kept[2] or 0), till = tonumber(kept[3] or 0),
  calls = tonumber(kept[4] or 0), failures = tonumber(kept[5] or 0), tries = tonumber(kept[6] or 0),
}

-- Has the hash live for some milliseconds at least.
local function live(milliseconds)
  if redis.call('PTTL', KEYS[1]) < milliseconds then redis.call('PEXPIRE', KEYS[1], math.ceil(milliseconds)) end
end

local function save()
  redis.call('HSET', KEYS[1], 'phase', circuit.phase, 'changed', string.format('%.3f', circuit.changed),
    'until', string.format('%.3f', circuit.till), 'calls', circuit.calls, 'failures', circuit.failures,
    'tries', circuit.tries)
end

local function turn(phase, since, till)
  circuit.phase, circuit.changed, circuit.till = phase, since, till
  circuit.calls, circuit.failures, circuit.tries = 0, 0, 0
end

local function open_window()
  circuit.calls, circuit.failures, circuit.till = 0, 0, now + period
  save()
  live(period)
end

if circuit.phase == 'open' and now >= circuit.till then
  if half_open_ttl then
    turn('half open', circuit.till, circuit.till + half_open_ttl)
  else
    turn('closed', circuit.till, 0)
  end
end
if circuit.phase == 'half open' and now >= circuit.till then turn('closed', circuit.till, 0) end
