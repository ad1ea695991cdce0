-- Opens a transaction. Answers 0, or 5 when too many are open.
-- A transaction is a hash: "n" and "b" are the number of keys and the bytes of values, "r" and a key is what was read there, "w" and a key what will be written: "=" and the value, or "-" for none.
-- KEYS: the transaction, the open transactions by their ends. ARGV: the handle, the timeout in ms, the most open transactions, the longest timeout of any.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', now))
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return 5
end
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], 'n', 0, 'b', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
