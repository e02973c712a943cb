-- Requires: time, circuit
-- Asks a circuit whether a call may run.
-- Answers the instant at which it entered in milliseconds, false if it may not.

if circuit.phase == 'open' then return false end
if circuit.phase == 'half open' then
  circuit.tries = circuit.tries + 1
  save()
  if circuit.tries % 2 == 0 then return false end
elseif now >= circuit.till then
  open_window()
end
return string.format('%.3f', now)
