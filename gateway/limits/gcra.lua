-- Decide all limits of one request at once (GCRA): either every key is charged or none. Before
-- that, look whether the request's access token is denied (D12): then nothing is charged.
-- KEYS: one per limit; behind them, when there is a token, the deny list's keys of its jti, its sid
-- and its sub. ARGV: the time in microseconds ('' for this server's own), the token's version ('' for
-- no token), then for each limit its period and its emission interval, in microseconds.
-- Answers 'backlog, wait' per limit, in microseconds: the same arithmetic as limiter.judge. Of a
-- denied token only one number: 1 when it is revoked, 2 when it is older than a change of its user.
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

local answer = {}
local refused = false
for i = 1, limits do
  local period = tonumber(ARGV[2 * i + 1])
  local interval = tonumber(ARGV[2 * i + 2])
  local backlog = math.max((tonumber(redis.call('GET', KEYS[i])) or 0) - now, 0)
  local wait = math.max(backlog + interval - period, 0)
  refused = refused or wait > 0
  answer[2 * i - 1] = backlog
  answer[2 * i] = wait
end

if not refused then
  for i = 1, limits do
    local backlog = answer[2 * i - 1] + tonumber(ARGV[2 * i + 2])
    answer[2 * i - 1] = backlog
    redis.call('SET', KEYS[i], string.format('%.0f', now + backlog), 'PX', math.ceil(backlog / 1000))
  end
end
return answer
