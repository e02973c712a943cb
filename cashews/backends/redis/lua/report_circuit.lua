-- Requires: time, circuit
-- Tells a circuit how a call ended.
-- ARGV[6]: the instant at which it entered in milliseconds. ARGV[7]: '1' if it failed, else '0'.

local entered, failed = tonumber(ARGV[6]), ARGV[7] == '1'
if entered < circuit.changed or circuit.phase == 'open' then return end
if circuit.phase == 'closed' then
  if now >= circuit.till then open_window() end
  circuit.calls = circuit.calls + 1
end
if failed then
  circuit.failures = circuit.failures + 1
  local too_often = circuit.calls >= min_calls and circuit.failures * 100 >= rate * circuit.calls
  if too_often or circuit.phase == 'half open' then turn('open', now, now + ttl) end
end
save()
if circuit.phase == 'open' then live(ttl + (half_open_ttl or 0) + ttl + period) end
