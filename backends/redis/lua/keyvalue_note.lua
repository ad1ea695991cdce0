-- Notes a write of a transaction. Answers 0, 1 when it is not open, 2 when it has too many keys, or 3 when its values are too large.
-- KEYS: the transaction. ARGV: the key, the most keys, the most bytes, the value; none to remove the key.
local counts = redis.call('HMGET', KEYS[1], 'n', 'b')
if not counts[1] then
  return 1
end
local keys, bytes = tonumber(counts[1]), tonumber(counts[2])
local field = 'w' .. ARGV[1]
local before = redis.call('HSTRLEN', KEYS[1], field)
if before == 0 and redis.call('HEXISTS', KEYS[1], 'r' .. ARGV[1]) == 0 then
  if keys >= tonumber(ARGV[2]) then
    return 2
  end
  keys = keys + 1
end
local content = ARGV[4] and '=' .. ARGV[4] or '-'
bytes = bytes + #content - math.max(before, 1)
if bytes > tonumber(ARGV[3]) then
  return 3
end
redis.call('HSET', KEYS[1], field, content, 'n', keys, 'b', bytes)
return 0
