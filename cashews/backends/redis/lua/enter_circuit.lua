-- Requires: time, circuit
-- Asks a circuit whether a call may run.
-- Answers the instant at which it entered in milliseconds, false if it may not; then the milliseconds after which it
-- may.

if circuit.phase == 'open' then return { false, string.format('%.3f', circuit.till - now) } end
if circuit.phase == 'half open' then
  circuit.tries = circuit.tries + 1
  save()
  if circuit.tries % 2 == 0 then return { false, '0' } end
elseif now >= circuit.till then
  open_window()
end
return { string.format('%.3f', now), '0' }
