"""What the Redis store does at once, in Lua. Redis 6.2 is the baseline.

`meta` is a hash: `life` (of this data set: another one after a wipe), `epoch` (invalidations so far), `floor` (what has
a ticket from before it is not stored). `gone` is a sorted set: which key or tag was invalidated, in which epoch. An
answer's key is a hash: `vary`, and for each variant its answer and `until` when, by the server's clock. A tag is a
sorted set of answers' keys by the second they expire.
"""

from typing import Final

GET: Final = """
-- KEYS: meta, answers. ARGV: a life for the data set if it has none yet, variant.
redis.call('HSETNX', KEYS[1], 'life', ARGV[1])
local meta = redis.call('HMGET', KEYS[1], 'life', 'epoch')
local found = redis.call('HMGET', KEYS[2], 'vary', ARGV[2], 'until' .. ARGV[2])
local time = redis.call('TIME')
if found[2] and tonumber(found[3] or '0') <= time[1] * 1000 + time[2] / 1000 then found[2] = '' end
return {meta[1], meta[2] or '0', found[1], found[2]}
"""

PUT: Final = """
-- KEYS: meta, gone, answers, tags. ARGV: life, epoch, milliseconds to keep, now and until in seconds, most variants,
-- vary, variant, value, then the names by which the answer can be invalidated.
local meta = redis.call('HMGET', KEYS[1], 'life', 'floor')
if meta[1] ~= ARGV[1] or tonumber(ARGV[2]) < tonumber(meta[2] or '0') then return 0 end
for i = 10, #ARGV do
  local epoch = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if epoch and tonumber(epoch) > tonumber(ARGV[2]) then return 0 end
end
local vary = redis.call('HGET', KEYS[3], 'vary')
if vary and (vary ~= ARGV[7] or redis.call('HLEN', KEYS[3]) > 2 * tonumber(ARGV[6])) then
  redis.call('UNLINK', KEYS[3])
end
local time = redis.call('TIME')
local expires = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[3]))
redis.call('HSET', KEYS[3], 'vary', ARGV[7], ARGV[8], ARGV[9], 'until' .. ARGV[8], expires)
local function last(key)
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
end
last(KEYS[3])
for i = 4, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', ARGV[4])
  redis.call('ZADD', KEYS[i], 'GT', ARGV[5], KEYS[3])
  last(KEYS[i])
end
return 1
"""

INVALIDATE: Final = """
-- KEYS: meta, gone, then answers and tags. ARGV: how many of KEYS are answers, how many names are remembered, names.
local epoch, count = redis.call('HINCRBY', KEYS[1], 'epoch', 1), 0
for i = 3, #ARGV do redis.call('ZADD', KEYS[2], epoch, ARGV[i]) end
local surplus = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[2])
if surplus > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], surplus - 1, surplus - 1, 'WITHSCORES')
  redis.call('HSET', KEYS[1], 'floor', oldest[2])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, surplus - 1)
end
for i = 3, #KEYS do
  if i - 2 <= tonumber(ARGV[1]) then
    count = count + redis.call('UNLINK', KEYS[i])
  else
    for _, answers in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do count = count + redis.call('UNLINK', answers) end
    redis.call('UNLINK', KEYS[i])
  end
end
return count
"""

CLEAR: Final = """
-- KEYS: meta, gone.
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'floor', epoch)
redis.call('UNLINK', KEYS[2])
return epoch
"""
