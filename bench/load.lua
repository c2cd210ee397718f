-- wrk: one kind of request, and the figures as one JSON line.
-- usage: wrk ... -s load.lua URL -- METHOD KEY [BODY]

function init(args)
    wrk.method = args[1]
    wrk.headers["X-API-Key"] = args[2]
    if args[3] then
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = args[3]
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '{"rate":%.1f,"p50_us":%.0f,"p99_us":%.0f,"p999_us":%.0f,"max_us":%.0f,"bad":%d}\n',
        summary.requests / (summary.duration / 1e6), latency:percentile(50),
        latency:percentile(99), latency:percentile(99.9), latency.max,
        e.connect + e.read + e.write + e.status + e.timeout))
end
