-- wrk: the read mix. Arguments: a file with the requests, a line each: weight, TAB, path, TAB, If-None-Match (or nothing);
-- then the Authorization (or nothing). Each request is made once, before the clock runs; chosen by weight while it does.
local prepared, upto, total = {}, {}, 0
local seed = 1

function init(args)
  if args[2] and args[2] ~= '' then wrk.headers['Authorization'] = args[2] end
  wrk.headers['Accept'] = 'application/json'
  for line in io.lines(args[1]) do
    local weight, path, tag = line:match('^([%d.]+)\t([^\t]*)\t(.*)$')
    total = total + tonumber(weight)
    wrk.headers['If-None-Match'] = tag ~= '' and tag or nil
    prepared[#prepared + 1] = wrk.format('GET', path)
    upto[#upto + 1] = total
  end
end

function request()
  seed = (seed * 48271) % 2147483647                       -- Park and Miller's generator: the same run everywhere
  local wanted = seed / 2147483647 * total
  local low, high = 1, #upto
  while low < high do
    local middle = math.floor((low + high) / 2)
    if upto[middle] < wanted then low = middle + 1 else high = middle end
  end
  return prepared[low]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"failed":%d,"p50":%g,"p99":%g,"max":%g}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
