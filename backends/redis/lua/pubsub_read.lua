-- ARGV: retention, topic, id, how many, how many bytes. Returns the id of the last ordered message that was removed, if it comes after the given one, else ''; and the ids and messages
-- that follow.
local topic, behind, most, room = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local last = trim('o', topic)
keep(topic)
local answer = {''}
if after(last, behind) then
  answer[1] = last
  behind = last
end
for _, entry in ipairs(call('XRANGE', P .. 'o:' .. topic, '(' .. behind, '+', 'COUNT', most)) do
  if room < 0 then break end
  room = room - #entry[2][2]
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = entry[2][2]
end
return answer
