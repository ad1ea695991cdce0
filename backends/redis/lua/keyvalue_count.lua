-- Counts the next keys of the index, and forgets those that have expired. Answers the last key that it has looked at, '' when it was the last of all, and the number.
-- KEYS: the index. ARGV: what the names of values begin with, the bounds, the most keys.
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local count, gone = 0, {}
for _, member in ipairs(members) do
  if redis.call('EXISTS', ARGV[1] .. member) == 1 then
    count = count + 1
  else
    gone[#gone + 1] = member
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
end
local last = ''
if #members == tonumber(ARGV[4]) then
  last = members[#members]
end
return {last, count}
