-- Take over entries of the deny list, in whatever order and however often they come.
-- KEYS: the sentinel, then one key per entry. ARGV: for each entry its value and its remaining life
-- in milliseconds. A key never gets a smaller value or a shorter life than it has.
-- Answers whether the sentinel is there: 1 or 0.
for i = 2, #KEYS do
  local key = KEYS[i]
  local value = tonumber(ARGV[2 * i - 3])
  local life = tonumber(ARGV[2 * i - 2])
  value = math.max(value, tonumber(redis.call('GET', key)) or 0)
  life = math.max(life, redis.call('PTTL', key))
  redis.call('SET', key, string.format('%.0f', value), 'PX', string.format('%.0f', life))
end
return redis.call('EXISTS', KEYS[1])
