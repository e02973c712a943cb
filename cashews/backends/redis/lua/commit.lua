-- Requires: time, heads, memberships, tags, members
-- Applies the writes of a transaction and releases its locks, if each is still held; else applies nothing.
-- KEYS: the locks, the keys. ARGV: the number of locks, their tokens, '' for a lock that nobody may hold, the number of
-- tags to delete, these tags, then each write behind the number of its words: 0 words for a write that is not to be
-- applied; the anchor. Answers 1, or 0 if a lock is not held by its token. An error means that nothing was applied.

local locks = tonumber(ARGV[1])
for i = 1, locks do
  if (redis.call('GET', KEYS[i]) or '') ~= ARGV[i + 1] then return answer(0) end
end
local tags = tonumber(ARGV[locks + 2])
local writes, at = {}, locks + tags + 3
while at <= #ARGV do
  local words = {}
  for i = 1, tonumber(ARGV[at]) do words[i] = ARGV[at + i] end
  if #words > 0 then writes[#writes + 1] = words end
  at = at + #words + 1
end

-- Whatever the server can refuse is provoked here, before anything is applied. Out of memory: a write of no bytes,
-- which changes nothing and makes no key.
local function refused(key)
  local reply = redis.pcall('SETRANGE', key, 0, '')
  return type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) and reply
end
local first = writes[1] and writes[1][2] or tags > 0 and ANCHOR .. ARGV[locks + 3] .. DELETED
local refusal = first and refused(first)
if refusal then return refusal end

-- Another kind of value: the types are compared. An overflow: counters are changed, and then put back.
local wrong_type = redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
local removed, counted = {}, {}
for _, words in ipairs(writes) do
  local verb, key = words[1], words[2]
  if verb == 'del' then
    removed[key] = true
  elseif verb == 'incr' then
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= 'string' then
      refusal = wrong_type
      break
    end
    if counted[key] == nil then counted[key] = redis.call('GET', key) end
    local reply = incr(key, words[3])
    if type(reply) == 'table' and reply.err then
      refusal = reply
      break
    end
  elseif (verb == 'sadd' or verb == 'srem') and not removed[key] then
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= 'set' then
      refusal = wrong_type
      break
    end
  end
end
for key, value in pairs(counted) do
  if value then redis.call('SET', key, value, 'KEEPTTL') else redis.call('DEL', key) end
end
if refusal then return refusal end

-- The tags of the values, and those beside: on a cluster the slot has to be in their rosters.
local function tags_in(words)
  return words_from(words, 7)
end
for _, words in ipairs(writes) do
  if words[1] == 'set' then
    words.overtaken = overtaken(tags_in(words), words[5])  -- before the tags of this commit are deleted
    want(tags_in(words), words[4])
  end
  if words[1] == 'expire' and (words[3] == '' or tonumber(words[3]) > 0) then want(tags_of(words[2]), words[3]) end
end
local why = hindrance()
if why then return why end

local apply = {}

-- words: 'set', key, the value with its head, ttl or '', the mark of the load or '', the number of its tags, these, and
-- each other tag whose deletion overtakes the load
function apply.set(key, words)
  if words.overtaken then return end
  local own, every, ttl = {}, tags_in(words), words[4]
  for i = 1, tonumber(words[6]) do own[i] = every[i] end
  if ttl == '' then store(key, own, '', words[3]) else store(key, own, ttl, words[3], 'PX', ttl) end
end

-- words: 'del', key, 1 to have those who track an absent key told, else 0
function apply.del(key, words)
  if delete(key) == 0 and words[3] == '1' then tell(key) end
end

-- words: 'incr', key, how much, ttl of a new counter or ''
function apply.incr(key, words)
  local new = redis.call('EXISTS', key) == 0
  incr(key, words[3])
  if new and words[4] ~= '' then redis.call('PEXPIRE', key, words[4]) end
end

-- words: 'expire', key, ttl or ''
function apply.expire(key, words) expire(key, words[3]) end

-- words: 'sadd', key, ttl or '', each member
function apply.sadd(key, words) add_members(key, words[3], words, 4) end

-- words: 'srem', key, each member
function apply.srem(key, words)
  for i = 3, #words do redis.call('SREM', key, words[i]) end
end

for i = 1, tags do
  local tag = ARGV[locks + 2 + i]
  remember_deletion(tag)
  while redis.call('EXISTS', ANCHOR .. tag .. INDEX) == 1 do delete_carriers(tag, 1000) end
end
for _, words in ipairs(writes) do apply[words[1]](words[2], words) end
for i = 1, locks do
  if ARGV[i + 1] ~= '' then
    redis.call('DEL', KEYS[i])
    redis.pcall('PUBLISH', KEYS[i], '')
  end
end
return answer(1)
