"""What the Redis store does at once, in Lua. Redis 6.2 is the baseline.

A key is a hash: `tenant`, `made`, `secrets`, `present` (the digest of the present secret), and as they come `used`
(microseconds since 1970), `rotatedAt`, `rotatedBy`, `revokedAt`, `revokedBy`. A tenant is a sorted set of ids, all with
one score: ids sort by their making. `ended` is a sorted set of ids by the server's microseconds.
"""

from typing import Final

ADD: Final = """
-- KEYS: key, tenant. ARGV: id, most keys, then names and values by turns.
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
"""

PAGE: Final = """
-- KEYS: tenant. ARGV: from where (for ZREVRANGEBYLEX), how many, what stands before an id.
local found = {}
for _, id in ipairs(redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[1], '-', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = {id, redis.call('HGETALL', ARGV[3] .. id)}
end
return found
"""

_END: Final = """
local function ended(id)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - 3600000000))
  redis.call('ZADD', KEYS[2], string.format('%.0f', now), id)
end
"""

REVOKE: Final = (
    _END
    + """
-- KEYS: key, ended. ARGV: id, tenant, when, by.
if redis.call('HGET', KEYS[1], 'tenant') ~= ARGV[2] then return {} end
if redis.call('HSETNX', KEYS[1], 'revokedAt', ARGV[3]) == 1 then
  redis.call('HSET', KEYS[1], 'revokedBy', ARGV[4])
  ended(ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
"""
)

ROTATE: Final = (
    _END
    + """
-- KEYS: key, ended. ARGV: id, tenant, when, by, the digest that is present, the one that shall be, secrets.
local found = redis.call('HMGET', KEYS[1], 'tenant', 'revokedAt', 'present')
if found[1] ~= ARGV[2] then return {} end
if found[2] then return {'revoked'} end
if found[3] ~= ARGV[5] then return {'changed'} end
redis.call('HSET', KEYS[1], 'rotatedAt', ARGV[3], 'rotatedBy', ARGV[4], 'present', ARGV[6], 'secrets', ARGV[7])
ended(ARGV[1])
return redis.call('HGETALL', KEYS[1])
"""
)

NOTE_USES: Final = """
-- KEYS: keys. ARGV: a moment each.
for n, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'tenant', 'used')
  if found[1] and (not found[2] or tonumber(found[2]) < tonumber(ARGV[n])) then
    redis.call('HSET', key, 'used', ARGV[n])
  end
end
return 1
"""

ENDED_SINCE: Final = """
-- KEYS: ended. ARGV: from when on, 0: nothing but the time is asked for.
local time = redis.call('TIME')
local found = {string.format('%.0f', time[1] * 1000000 + time[2])}
if ARGV[1] ~= '0' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')) do found[#found + 1] = id end
end
return found
"""
