-- Reads an entry and counts the reading: the count stands in 8 bytes behind the entry's mark.
-- KEYS: the key. Answers the value as it was stored, false if it is absent, and the count, 0 for a value without one.

local value = redis.call('GET', KEYS[1])
if not value then return {value, 0} end
local head = 0
if string.sub(value, 1, 2) == '\0G' and #value >= 6 then head = struct.unpack('>I4', value, 3) end
if string.sub(value, head + 1, head + 2) ~= '\0H' or #value < head + 10 then return {value, 0} end
local hits = struct.unpack('>I8', value, head + 3) + 1
redis.call('SETRANGE', KEYS[1], head + 2, struct.pack('>I8', hits))
return {value, hits}
