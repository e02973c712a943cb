-- Requires: time, heads, memberships
-- Tells a slot of a membership that has begun in the roster of a tag. It does not count if a later one has been told
-- of, or if the slot has another that lasts as long.
-- KEYS: the record of the tag. ARGV: the tag, the number of the membership, the instant of the tag's last deletion, the
-- milliseconds of the membership, '' for ever; the anchor.

if MOVING then return AGAIN end
local tag, number, ends = ARGV[1], tonumber(ARGV[2]), instant_in(ARGV[4])
local deleted, last, last_ends = record_of(tag)
local useless = last
if number <= last or ends <= last_ends then
  useless = number ~= last and number or 0
else
  keep_record(tag, math.max(deleted, ARGV[3]), number, ends)
end
return {false, useless > 0 and {tag, string.format('%.0f', useless)} or {}, {}}
