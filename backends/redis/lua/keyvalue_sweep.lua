-- Forgets those of some keys of the index, chosen by chance, that have expired.
-- KEYS: the index. ARGV: what the names of values begin with, how many keys.
local gone = {}
for _, member in ipairs(redis.call('ZRANDMEMBER', KEYS[1], ARGV[2])) do
  if redis.call('EXISTS', ARGV[1] .. member) == 0 then
    gone[#gone + 1] = member
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
end
return #gone
