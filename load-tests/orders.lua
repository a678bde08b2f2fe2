-- wrk: orders are placed, one after another on each connection. Arguments: the Authorization (or nothing).
local count = 0

function init(args)
  if args[1] and args[1] ~= '' then wrk.headers['Authorization'] = args[1] end
  wrk.headers['Content-Type'] = 'application/json'
end

function request()
  count = count + 1
  local body = string.format('{"customerId":"cus_load_%d","currency":"EUR","items":[{"sku":"book","quantity":2,' ..
    '"unitPrice":1250}],"paymentToken":"tok_ok"}', count % 1000)
  return wrk.format('POST', '/api/orders', nil, body)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"failed":%d,"p50":%g,"p99":%g,"max":%g}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
