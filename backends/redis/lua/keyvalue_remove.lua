-- Removes a key if it has the expected value. Answers 1, or what it has found instead.
-- KEYS: the value, the index. ARGV: the key in the index, the expected value.
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[2] then
  return found
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
