"""What has to happen at once, in Lua. Redis 6.2 is the baseline.

A stream's name is its Pub/Sub channel's, too.
"""

from typing import Final

from cortex_core.events.redis.link import Script

PUBLISH: Final = Script("""
-- KEYS: streams. ARGV: max length, then for each event the number of its stream in KEYS and its JSON.
local last = {}
for i = 2, #ARGV, 2 do
  local key, event = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  if not last[key] then
    last[key] = '0-0'
    if redis.call('EXISTS', key) == 1 then
      local about = redis.call('XINFO', 'STREAM', key)
      for j = 1, #about, 2 do
        if about[j] == 'last-generated-id' then last[key] = about[j + 1] end
      end
    end
  end
  local id = redis.call('XADD', key, 'MAXLEN', '~', ARGV[1], '*', 'event', event)
  redis.call('PUBLISH', key, id .. ' ' .. last[key] .. ' ' .. event)
  last[key] = id
end
return #ARGV
""")
"""Stream and Pub/Sub message in one; the message names the entry and the one before it, so that a gap can be seen."""

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

LEASE: Final = Script("""
-- KEYS: stream. ARGV: group, consumer, idle milliseconds, cursor, how many to claim, how many to list.
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
""")
"""Takes over what its consumer has left alone for too long, then says that we are still there: what is ours becomes
fresh again, and is listed with the number of its deliveries."""

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
