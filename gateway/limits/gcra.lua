-- Decide all limits of one request at once (GCRA): either every key is charged or none. Before
-- that, look whether the request's access token is denied (D12): then nothing is charged.
-- KEYS: one per limit; behind them, when there is a token, the deny list's keys of its jti, its sid
-- and its sub. ARGV: the time in microseconds ('' for this server's own), the token's version ('' for
-- no token), then for each limit, in microseconds but for the count:
--   period, emission interval, how many requests are wanted, and of an earlier lease what was not
--   used with the time until which all of that is known to be still charged (0, 0 for none).
-- Answers the time, then 'backlog, wait, granted' per limit: of more than one wanted as many are
-- granted as leave three quarters of the allowance to others, but one whenever judge in limiter.py
-- would allow it. Of a denied token only one number: 1 when it is revoked, 2 when it is older than a
-- change of its user.
local limits = #KEYS
local version = tonumber(ARGV[2])
if version then
  limits = limits - 3
  local denied = redis.call('MGET', KEYS[limits + 1], KEYS[limits + 2], KEYS[limits + 3])
  if denied[1] or denied[2] then
    return {1}
  end
  if denied[3] and version < (tonumber(denied[3]) or 0) then
    return {2}
  end
end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local answer = {now}
local returned = {}
local refused = false
for i = 1, limits do
  local at = 5 * i - 2
  local interval = tonumber(ARGV[at + 1])
  local backlog = math.max((tonumber(redis.call('GET', KEYS[i])) or 0) - now, 0)
  local unused = math.min(tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]) - now, backlog)
  returned[i] = unused > 0
  backlog = backlog - math.max(unused, 0)
  local wait = math.max(backlog + interval - tonumber(ARGV[at]), 0)
  refused = refused or wait > 0
  answer[3 * i - 1] = backlog
  answer[3 * i] = wait
  answer[3 * i + 1] = 0
end

for i = 1, limits do
  local at = 5 * i - 2
  local backlog = answer[3 * i - 1]
  if not refused then
    local interval = tonumber(ARGV[at + 1])
    local quarter = math.floor((tonumber(ARGV[at]) - backlog) / interval / 4)
    local granted = math.min(tonumber(ARGV[at + 2]), math.max(quarter, 1))
    backlog = backlog + granted * interval
    answer[3 * i - 1] = backlog
    answer[3 * i + 1] = granted
  end
  if not refused or returned[i] then
    if backlog > 0 then
      local until_whole = math.ceil(backlog / 1000)
      redis.call('SET', KEYS[i], string.format('%.0f', now + backlog), 'PX', until_whole)
    else
      redis.call('DEL', KEYS[i])
    end
  end
end
return answer
