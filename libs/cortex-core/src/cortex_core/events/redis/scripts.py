"""What has to happen at once, in Lua. Redis 6.2 is the baseline.

A stream's name is its Pub/Sub channel's, too.
"""

from typing import Final

from cortex_core.events.redis.link import Script

_IDS: Final = """
local function before(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  if am == bm then am, bm = as, bs end
  if #am ~= #bm then return #am < #bm end
  return am < bm
end
local function after(id)
  local milliseconds, sequence = string.match(id, '^(%d+)-(%d+)$')
  return milliseconds .. '-' .. string.format('%.0f', sequence + 1)
end
-- For each group its name and the lowest entry that it may still need; and the lowest of all, nil without a group.
local function claims(key)
  local all, lowest = {}, nil
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  for _, group in ipairs(groups.err and {} or groups) do
    local about = {}
    for j = 1, #group, 2 do about[group[j]] = group[j + 1] end
    local id = after(about['last-delivered-id'])
    if about['pending'] > 0 then id = redis.call('XPENDING', key, about['name'])[2] end
    all[#all + 1] = {about['name'], id}
    if not lowest or before(id, lowest) then lowest = id end
  end
  return all, lowest
end
"""
"""Ids are compared as text: Lua's numbers hold 53 bits, and an id has 128."""

SLACK: Final = 100  # entries beyond the limit at which a stream is cut: the radix node that Redis would not split

MOVED: Final = "MOVED TO "  # and the value at which the marker stands

PUBLISH: Final = Script(
    _IDS
    + f"local slack, moved = {SLACK}, '{MOVED}'"
    + """
-- KEYS: streams and markers. ARGV: max length, then pairs: a stream's number among KEYS (below zero: the publication's
-- last) and an event's JSON; or a sign with a marker's number, and a value: '?' must stand there, '=' shall if that is
-- more, '!' shall. The latter two end a publication. An error fails the rest of its publication, and no other. Returns
-- {number of a publication, error} for those that failed, {number of a stream, entries} for what was cut off unhandled.
local last = {}
local function put(key, event)
  if not last[key] then
    local about = redis.pcall('XINFO', 'STREAM', key)
    if not about.err then
      for j = 1, #about, 2 do
        if about[j] == 'last-generated-id' then last[key] = about[j + 1] end
      end
    elseif string.find(about.err, 'no such key', 1, true) then
      last[key] = '0-0'
    else
      return about.err
    end
  end
  local id = redis.pcall('XADD', key, '*', 'event', event)
  if type(id) == 'table' then return id.err end
  local told = redis.pcall('PUBLISH', key, id .. ' ' .. last[key] .. ' ' .. event)
  last[key] = id
  return type(told) == 'table' and told.err or nil
end
local function mark(sign, key, value)
  local known = redis.pcall('GET', key)
  if type(known) == 'table' then return known.err end
  local stands = tonumber(known or -1)
  if sign == 63 then return math.max(stands, 0) ~= tonumber(value) and moved .. (known or '0') or nil end
  if sign == 61 and tonumber(value) <= stands then return nil end
  return redis.pcall('SET', key, value).err
end
local function cut(key, limit)
  if redis.call('XLEN', key) < limit + slack then return nil end
  local _, lowest = claims(key)
  local first = lowest and redis.call('XRANGE', key, lowest, '+', 'COUNT', 1)[1]
  local removed = redis.call('XTRIM', key, 'MAXLEN', '~', limit)
  return first and removed > 0 and #redis.call('XRANGE', key, first[1], first[1]) == 0 and removed or nil
end
local failed, number, wrong = {}, 1, nil
for i = 2, #ARGV, 2 do
  local tag, ends = ARGV[i], true
  local sign = string.byte(tag)
  if sign == 33 or sign == 61 or sign == 63 then
    ends = sign ~= 63
    wrong = wrong or mark(sign, KEYS[tonumber(string.sub(tag, 2))], ARGV[i + 1])
  else
    local place = tonumber(tag)
    ends = place < 0
    wrong = wrong or put(KEYS[ends and -place or place], ARGV[i + 1])
  end
  if ends then
    if wrong then failed[#failed + 1] = {number, wrong} end
    number, wrong = number + 1, nil
  end
end
local lost, limit = {}, tonumber(ARGV[1])
for number, key in ipairs(KEYS) do
  local entries = last[key] and cut(key, limit)
  if entries then lost[#lost + 1] = {number, entries} end
end
return {failed, lost}
"""
)
"""Stream and Pub/Sub message in one; the message names the entry and the one before it, so that a gap can be seen. Many
publications share a call; a marker comes after its events, and not at all where one of them failed."""

BURY: Final = Script("""
-- KEYS: stream, dead letters. ARGV: group, entry, 1 if this may have happened already, max length, fields.
local known = false
if ARGV[3] == '1' then
  for _, letter in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 500)) do
    local fields = letter[2]
    for j = 1, #fields, 2 do
      if fields[j] == 'entry' and fields[j + 1] == KEYS[1] .. ' ' .. ARGV[2] then known = true end
    end
  end
end
if not known then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
end
return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
""")
"""Dead letter and acknowledgement in one: an entry is in one place or the other, never in neither."""

LEASE: Final = Script(
    _IDS
    + """
-- KEYS: stream. ARGV: group, consumer, idle milliseconds, cursor, how many to claim, how many to list.
local about, newest = redis.call('XINFO', 'STREAM', KEYS[1]), nil
for j = 1, #about, 2 do
  if about[j] == 'last-generated-id' then newest = about[j + 1] end
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for j = 1, #group, 2 do facts[group[j]] = group[j + 1] end
  if facts['name'] == ARGV[1] and before(newest, facts['last-delivered-id']) then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], '0')
  end
end
local cursor, deleted = ARGV[4], {}
if tonumber(ARGV[5]) > 0 then
  local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', ARGV[5], 'JUSTID')
  cursor, deleted = claimed[1], claimed[3] or {}
end
local own = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[6], ARGV[2])
local listed = {}
for _, entry in ipairs(own) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'JUSTID')
  listed[#listed + 1] = {entry[1], entry[4]}
end
return {cursor, deleted, listed}
"""
)
"""Takes over what its consumer has left alone for too long, then says that we are still there: what is ours becomes
fresh again, and is listed with the number of its deliveries. A group that stands beyond the stream's end (the stream
was put back) would wait until its ids come up to there: it begins anew."""

LEAVE: Final = Script("""
-- KEYS: streams. ARGV: group, consumer, idle milliseconds.
for _, key in ipairs(KEYS) do
  local own = redis.pcall('XPENDING', key, ARGV[1], '-', '+', 5000, ARGV[2])
  if not own.err then
    for _, entry in ipairs(own) do
      redis.call('XCLAIM', key, ARGV[1], ARGV[2], 0, entry[1],
                 'IDLE', ARGV[3], 'RETRYCOUNT', math.max(entry[4] - 1, 0), 'JUSTID')
    end
    if #own == 0 then redis.call('XGROUP', 'DELCONSUMER', key, ARGV[1], ARGV[2]) end
  end
end
""")
"""Hands back what was fetched and not handled, as if it had been idle for long; forgets the consumer if it has none."""

SWEEP: Final = Script("""
-- KEYS: stream. ARGV: group, idle milliseconds.
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for j = 1, #consumer, 2 do about[consumer[j]] = consumer[j + 1] end
  if about['pending'] == 0 and about['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about['name'])
  end
end
""")
"""Forgets consumers that died with nothing pending: every process has a name of its own, and leaves it for ever."""

REPLAY_LETTER: Final = Script("""
-- KEYS: dead letters, the group's stream for what comes again. ARGV: the letter's entry.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
local event = ''
for j = 1, #letter[2], 2 do
  if letter[2][j] == 'event' then event = letter[2][j + 1] end
end
redis.call('XADD', KEYS[2], '*', 'event', event)
return redis.call('XDEL', KEYS[1], ARGV[1])
""")
"""A dead letter goes back to its group in one step: it is in one place or the other."""

REPLAY: Final = Script("""
-- KEYS: stream, the group's stream for what comes again. ARGV: group, first entry, last entry, how many at most.
local known = false
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups.err and {} or groups) do
  known = known or group[2] == ARGV[1]
end
if not known then return false end
local page = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
for _, entry in ipairs(page) do
  redis.call('XADD', KEYS[2], '*', unpack(entry[2]))
end
return {#page, #page > 0 and page[#page][1] or ARGV[2]}
""")
"""A page of a stream once more, for one group."""

TRIM: Final = Script(
    _IDS
    + """
-- KEYS: stream. ARGV: milliseconds that entries are kept, milliseconds after which a group that holds them is a loss, 1
-- where nothing may go before there is a group. Returns how many entries went, and {group, age of what it holds} for
-- those lost.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function age(id) return now - tonumber(string.match(id, '^%d+')) end
local function silence(group)
  local least = math.huge
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    for j = 1, #consumer, 2 do
      if consumer[j] == 'idle' then least = math.min(least, consumer[j + 1]) end
    end
  end
  return least
end
local all, lowest = claims(KEYS[1])
if ARGV[3] == '1' and not lowest then return {0, {}} end
local bound = string.format('%.0f', math.max(0, now - ARGV[1])) .. '-0'
if lowest and before(lowest, bound) then bound = lowest end
local lost, patience = {}, tonumber(ARGV[2])
for _, claim in ipairs(all) do
  local held = redis.call('XRANGE', KEYS[1], claim[2], '+', 'COUNT', 1)[1]
  if held and age(held[1]) > patience and silence(claim[1]) > patience then
    lost[#lost + 1] = {claim[1], age(held[1])}
  end
end
return {redis.call('XTRIM', KEYS[1], 'MINID', '~', bound), lost}
"""
)
"""Looks and trims in one: no group can come to need in between what is then cut."""

FORGET: Final = Script("""
-- KEYS: stream, the group's stream for what comes again. ARGV: group.
local gone = redis.pcall('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
if type(gone) == 'table' then return 0 end
redis.call('DEL', KEYS[2])
return gone
""")

LAG: Final = Script("""
-- KEYS: stream. ARGV: group or '', how many to count. For each group: name, members, pending, the lowest pending entry,
-- the first that waits, how many wait, the last of those counted ('' where that are all), idle milliseconds or -1.
local clock, result = redis.call('TIME'), {}
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups.err and {} or groups) do
  local about = {}
  for j = 1, #group, 2 do about[group[j]] = group[j + 1] end
  local name = about['name']
  if ARGV[1] == '' or ARGV[1] == name then
    local lowest = about['pending'] > 0 and redis.call('XPENDING', KEYS[1], name)[2] or ''
    local kept = type(about['lag']) == 'number'
    local ahead = redis.call('XRANGE', KEYS[1], '(' .. about['last-delivered-id'], '+', 'COUNT', kept and 1 or ARGV[2])
    local more = not kept and #ahead == tonumber(ARGV[2]) and ahead[#ahead][1] or ''
    local idle = -1
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], name)) do
      for j = 1, #consumer, 2 do
        if consumer[j] == 'idle' and (idle < 0 or consumer[j + 1] < idle) then idle = consumer[j + 1] end
      end
    end
    result[#result + 1] = {name, about['consumers'], about['pending'], lowest, ahead[1] and ahead[1][1] or '',
                           kept and about['lag'] or #ahead, more, idle}
  end
end
return {clock[1] * 1000 + math.floor(clock[2] / 1000), result}
""")
"""How far a stream's groups are behind. Redis keeps the number itself from 7.0 on, and does not always know it."""

COUNT: Final = Script("""
-- KEYS: stream. ARGV: after this entry, how many at most.
local page = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return {#page, #page == tonumber(ARGV[2]) and page[#page][1] or ''}
""")
