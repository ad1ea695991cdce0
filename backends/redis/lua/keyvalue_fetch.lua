-- Reads values as long as there is room for them. Answers, for each key: its value, nil when it is missing, or 1 when there is no room.
-- KEYS: the values. ARGV: the room in bytes.
local room = tonumber(ARGV[1])
local answers = {}
for i = 1, #KEYS do
  local size = redis.call('STRLEN', KEYS[i])
  if size > room then
    answers[i] = 1
  else
    answers[i] = redis.call('GET', KEYS[i])
    room = room - size
  end
end
return answers
