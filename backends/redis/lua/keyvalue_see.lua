-- Reads a key as a transaction sees it, and keeps what it has seen. Answers "=" and the value, "-" when the key is missing, 1 when the transaction is not open, or 2 when it has too many keys.
-- KEYS: the transaction, the value. ARGV: the key, the most keys.
local read, write = 'r' .. ARGV[1], 'w' .. ARGV[1]
local known = redis.call('HMGET', KEYS[1], 'n', write, read)
if not known[1] then
  return 1
end
if known[2] or known[3] then
  return known[2] or known[3]
end
if tonumber(known[1]) >= tonumber(ARGV[2]) then
  return 2
end
local value = redis.call('GET', KEYS[2])
local seen = value and '=' .. value or '-'
redis.call('HSET', KEYS[1], read, seen, 'n', known[1] + 1)
return seen
