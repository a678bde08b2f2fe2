"""The decision in Lua, kept to Redis 6.2: many calls in one script, each decided by itself, or all demands of one call,
all charged or none.

Time is Redis' own (TIME), in microseconds since EPOCH, which keeps them small enough for doubles to hold their
fractions. Every key lives until it is as good as new, and a second more. The same rules in Python: `windows.py`.

Numbers are kept as packed doubles: reading them as text took longer than all else in here. A fixed window is `end
count`; a bucket its theoretical arrival time. A sliding window is a list of `leaves total`, oldest first: when an entry
leaves the window, and how much had ever been admitted up to it. The last entry says besides when the first one leaves
and how much has left, so nothing is summed up, and most calls read and write that one alone.
"""

from hashlib import sha1
from typing import Final

EPOCH: Final = 1_760_000_000

DECIDE: Final = (
    """
-- ARGV: cost, then kind, limit, span and grain (microseconds). These four once: each of KEYS is a call, decided after
-- the one before it. These four for each of KEYS: they are one call.
-- Answers for each key: what remains, microseconds until it is as new, microseconds to wait.
local call, ceil, pack, unpack = redis.call, math.ceil, struct.pack, struct.unpack
local time = call('TIME')
local now = (time[1] - """
    + str(EPOCH)
    + """) * 1000000 + time[2]
local cost = tonumber(ARGV[1])

local function expiry(microseconds)
  return ceil(microseconds / 1000) + 1000
end

local function fixed(key, limit, span, grain, charge)
  local ends, count = 0, 0
  local kept = call('GET', key)
  if kept then ends, count = unpack('dd', kept) end
  if now >= ends then ends, count = (math.floor(now / span) + 1) * span, 0 end
  if count + cost > limit then return limit - count, ends - now, ends - now end
  if charge then
    count = count + cost
    call('SET', key, pack('dd', ends, count), 'PX', expiry(ends - now))
  end
  return limit - count, count > 0 and ends - now or 0, 0
end

local function sliding(key, limit, span, grain, charge)
  local last, total, first, left, popped = now, 0, 0, 0, false
  local known = call('LINDEX', key, -1)
  if known then
    last, total, first, left = unpack('dddd', known)
    if last <= now then
      call('DEL', key)
      known, last, total, left = false, now, 0, 0
    else
      while first <= now do
        left = unpack('d', call('LPOP', key), 9)
        first, popped = unpack('d', call('LINDEX', key, 0)), true
      end
    end
  end
  local over = total - left + cost - limit
  if charge and over <= 0 then
    local leaves = ceil(now / grain) * grain + span
    total = total + cost
    if known and leaves <= last then
      call('LSET', key, -1, pack('dddd', last, total, first, left))
    else
      last = leaves
      call('RPUSH', key, pack('dddd', last, total, known and first or last, left))
      call('PEXPIRE', key, expiry(last - now))
    end
    return limit - total + left, last - now, 0
  end
  if popped then call('LSET', key, -1, pack('dddd', last, total, first, left)) end
  local leaves, upto, at = now, left, 0
  while upto - left < over do
    leaves, upto = unpack('dd', call('LINDEX', key, at))
    at = at + 1
  end
  return limit - total + left, last - now, leaves - now
end

local function bucket(key, limit, span, grain, charge)
  local kept = call('GET', key)
  local ahead = kept and math.max(0, unpack('d', kept) - now) or 0
  local wait = ahead + (cost - limit) * span
  if wait >= 0.01 then return math.max(0, limit - ahead / span + 0.000001), ceil(ahead), ceil(wait) end
  if charge then
    ahead = ahead + cost * span
    call('SET', key, pack('d', now + ahead), 'PX', expiry(ahead))
  end
  return limit - ahead / span + 0.000001, ceil(ahead), 0
end

local rules = {f = fixed, s = sliding, b = bucket}

local function terms(at)
  return rules[ARGV[at]], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
end

local function each()
  local rule, limit, span, grain = terms(2)
  local answer, n = {}, 0
  for i = 1, #KEYS do
    answer[n + 1], answer[n + 2], answer[n + 3] = rule(KEYS[i], limit, span, grain, true)
    n = n + 3
  end
  return answer
end

local function all(charge)
  local answer, fits, n = {}, true, 0
  for i = 1, #KEYS do
    local rule, limit, span, grain = terms(i * 4 - 2)
    answer[n + 1], answer[n + 2], answer[n + 3] = rule(KEYS[i], limit, span, grain, charge)
    n = n + 3
    fits = fits and answer[n] <= 0
  end
  return answer, fits
end

if #ARGV == 5 then return each() end
local answer, fits = all(false)
return fits and all(true) or answer
"""
)

DIGEST: Final = sha1(DECIDE.encode(), usedforsecurity=False).hexdigest()
