-- The place of the bookkeeping of tags, and on a cluster the memberships of a slot in the rosters of tags.
-- The invariant of every script on a cluster: a slot with live values of a tag is in the roster of the tag.
-- ARGV: behind all others the anchor, with which our keys beside the values begin: '' on a single server.

local INDEX, DELETED = '\255tag', '\255deleted' -- behind the tag
local REMEMBERED = 3600 -- seconds for which a deletion is remembered; a longer load is not stored under a tag
local LEFT = 60 -- seconds for which the end of a membership is remembered: a request to enter is not on its way longer

local ANCHOR = table.remove(ARGV)
local AGAIN = redis.error_reply('TRYAGAIN the slot is on its way')
local emptied, wanted = {}, {}

-- Whether the slot is on its way to another node. Then our keys may be anywhere: nothing with tags is touched.
local MOVING = ANCHOR ~= '' and type(redis.pcall('EXISTS', ANCHOR .. '\255', ANCHOR .. '\255\255')) == 'table'
if MOVING then
  for _, key in ipairs(KEYS) do
    if #tags_of(key) > 0 then return AGAIN end
  end
end

-- Returns the instant of a tag's last deletion, the number of the slot's membership in the roster, and its end in
-- milliseconds: 0 if there is none.
local function record_of(tag)
  local found = redis.call('GET', ANCHOR .. tag .. DELETED) or ''
  local deleted, number, ends = string.match(found, '^(%d+) ?(%d*) ?(%w*)')
  return tonumber(deleted) or 0, tonumber(number) or 0, ends == 'inf' and math.huge or tonumber(ends) or 0
end

-- Keeps the record of a tag on a cluster for as long as one of its parts counts.
local function keep_record(tag, deleted, number, ends)
  local life = math.max((deleted > 0 and REMEMBERED or LEFT) * 1000, ends - microseconds() / 1000)
  redis.call('SET', ANCHOR .. tag .. DELETED, string.format('%.0f %.0f %.0f', deleted, number, ends))
  if life < math.huge then redis.call('PEXPIRE', ANCHOR .. tag .. DELETED, string.format('%.0f', life)) end
end

-- Returns the instant at which `ttl` milliseconds will have passed; '' means never.
local function instant_in(ttl) return ttl == '' and math.huge or microseconds() / 1000 + ttl end

-- Notes that a value with these tags is going to live for `ttl` milliseconds, '' for ever: rosters are wanted that the
-- slot is not in for so long.
local function want(tags, ttl)
  if ANCHOR == '' then return end
  for _, tag in ipairs(tags) do
    local _, number, ends = record_of(tag)
    if MOVING or ends < instant_in(ttl) then
      local life = ttl == '' and '' or string.format('%.0f', 2 * ttl) -- a writer does not join for each value
      for _, word in ipairs({tag, string.format('%.0f', number), life}) do wanted[#wanted + 1] = word end
    end
  end
end

-- Returns a reply. On a cluster it has three parts: the reply itself; each membership that has ended, since no value of
-- the tag is left in the slot, as the tag and its number; each roster to be joined before anything is stored, as the
-- tag, the last number, and the milliseconds of the membership.
local function answer(reply)
  if ANCHOR == '' then return reply end
  local left = {}
  for tag in pairs(emptied) do
    local deleted, number, ends = record_of(tag)
    if ends > 0 and redis.call('EXISTS', ANCHOR .. tag .. INDEX) == 0 then
      keep_record(tag, deleted, number, 0)
      left[#left + 1], left[#left + 2] = tag, string.format('%.0f', number)
    end
  end
  return {reply, left, wanted}
end

-- Returns the reply of a script that cannot store anything yet, nil for one that can.
local function hindrance()
  if #wanted > 0 then return MOVING and AGAIN or answer(false) end
end
