-- What is sent, where that is no GET (`-- METHOD FILE`), and the figures of a run as one line of JSON, the last that wrk
-- prints.
function init(args)
  if args[1] then
    wrk.method = args[1]
    local file = assert(io.open(args[2], 'rb'))
    wrk.body = file:read('*a')
    file:close()
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('{"requests":%d,"microseconds":%d,"bytes":%d,"failed":%d}\n',
    summary.requests, summary.duration, summary.bytes, failed))
end
