-- Looks at the next keys of the index, and forgets those that have expired. Answers the last key that it has looked at, '' when it was the last of all, and the keys that are there, each followed by
-- its value when values are asked for.
-- KEYS: the index. ARGV: what the names of values begin with, the bounds, the most keys, the most bytes of values (0: no values; one value at least).
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local room = tonumber(ARGV[5])
local values = room > 0
local found, gone, looked = {}, {}, 0
for i, member in ipairs(members) do
  local name = ARGV[1] .. member
  local value
  if values then
    value = redis.call('GET', name)
  else
    value = redis.call('EXISTS', name) == 1
  end
  looked = i
  if not value then
    gone[#gone + 1] = member
  else
    found[#found + 1] = member
    if values then
      found[#found + 1] = value
      room = room - #value
      if room <= 0 then
        break
      end
    end
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
end
local last = ''
if looked < #members or #members == tonumber(ARGV[4]) then
  last = members[looked]
end
return {last, found}
