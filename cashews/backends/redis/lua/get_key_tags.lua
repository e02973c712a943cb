-- Requires: heads
-- Reads the tags that a value carries.
-- KEYS: the key. Answers the tags.

return (tags_of(KEYS[1]))
