-- Decide all limits of one request at once (GCRA): either every key is charged or none.
-- KEYS: one per limit. ARGV: the time in microseconds ('' for this server's own), then for each
-- limit its period and its emission interval, in microseconds.
-- Answers 'backlog, wait' per limit, in microseconds: the same arithmetic as limiter.judge.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local answer = {}
local refused = false
for i, key in ipairs(KEYS) do
  local period = tonumber(ARGV[2 * i])
  local interval = tonumber(ARGV[2 * i + 1])
  local backlog = math.max((tonumber(redis.call('GET', key)) or 0) - now, 0)
  local wait = math.max(backlog + interval - period, 0)
  refused = refused or wait > 0
  answer[2 * i - 1] = backlog
  answer[2 * i] = wait
end

if not refused then
  for i, key in ipairs(KEYS) do
    local backlog = answer[2 * i - 1] + tonumber(ARGV[2 * i + 1])
    answer[2 * i - 1] = backlog
    redis.call('SET', key, string.format('%.0f', now + backlog), 'PX', math.ceil(backlog / 1000))
  end
end
return answer
