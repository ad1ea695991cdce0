-- Stores a value if the key has the expected one, or is missing when none is expected. Answers 1, or what it has found instead.
-- KEYS: the value, the index. ARGV: the key in the index, the value, the expected value if any.
local found = redis.call('GET', KEYS[1])
if found ~= (ARGV[3] or false) then
  return found
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
