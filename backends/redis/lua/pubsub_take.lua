-- Takes what a stream of a durable subscription is to send. ARGV: retention, topic, name, number, stream, how many may be with the stream, how many to take, what the stream has sent
-- since the last time as "id serial id serial ...". To take none says that the stream is still about to send what it has taken.
-- Returns 'gone'; or 'missed'; or 'some', and for each message its id, how often it was sent, its serial and the message; or 'none', and in how many microseconds something is due.
local topic, name, number, stream, window, most, list = unpack(ARGV, 2)
local d = topic .. '/' .. name
window, most = tonumber(window), tonumber(most)
local s = call('HMGET', P .. 's:' .. d, 'number', 'timeout', 'pos', 'from', 'missed')
if s[1] ~= number or not call('ZSCORE', P .. 'w:' .. d, stream) then return {'gone'} end
call('ZADD', P .. 'w:' .. d, text(now), stream)
sent(d, stream, s[2], list)
if most == 0 then
  for _, id in ipairs(call('SMEMBERS', P .. 'r:' .. d .. '/' .. stream)) do
    local _, _, _, state = delivery(d, id)
    if state == 'u' then call('ZADD', P .. 'p:' .. d, text(now + HOLD), id) end
  end
  return {'none', -1}
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'p:' .. d, '-inf', text(now), 'LIMIT', 0, 1000)) do again(d, id) end

-- What retention has removed.
local last = trim('k', topic)
local pos, missed = s[3], s[5] == '1'
if after(last, pos) then
  if s[4] == '' or (split(last)) >= tonumber(s[4]) then missed = true end
  pos = last
end
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'q:' .. d, '-inf', (split(last)))) do
  if not after(id, last) then
    settle(d, id)
    missed = true
  end
end
if missed then
  call('HSET', P .. 's:' .. d, 'missed', 0, 'pos', pos)
  return {'missed'}
end

local with = P .. 'r:' .. d .. '/' .. stream
local room = math.min(most, window - call('SCARD', with))
if room <= 0 then
  call('SADD', P .. 'f:' .. d, stream)
  call('HSET', P .. 's:' .. d, 'pos', pos)
  return {'none', -1}
end
local answer, bytes = {'some'}, 0
local function give(id, message)
  local times = delivery(d, id) or 0
  local serial = call('HINCRBY', P .. 's:' .. d, 'serial', 1)
  note(d, id, times, serial, stream, 'u')
  call('ZADD', P .. 'q:' .. d, (split(id)), id)
  call('ZADD', P .. 'p:' .. d, text(now + HOLD), id)
  call('SADD', with, id)
  for _, value in ipairs({id, text(times + 1), text(serial), message}) do answer[#answer + 1] = value end
  room, bytes = room - 1, bytes + #message
end
for _, id in ipairs(call('ZRANGE', P .. 'a:' .. d, 0, room - 1)) do
  if bytes > 1048576 then break end
  call('ZREM', P .. 'a:' .. d, id)
  local entry = call('XRANGE', P .. 'k:' .. topic, id, id)
  if entry[1] then give(id, entry[1][2][2]) end
end
if room > 0 and bytes <= 1048576 then
  local behind = '(' .. pos
  if s[4] ~= '' and (split(pos)) < tonumber(s[4]) then behind = s[4] end
  for _, entry in ipairs(call('XRANGE', P .. 'k:' .. topic, behind, '+', 'COUNT', room)) do
    if bytes > 1048576 then break end
    give(entry[1], entry[2][2])
    pos = entry[1]
  end
end
call('HSET', P .. 's:' .. d, 'pos', pos)
if #answer > 1 then return answer end
local first = call('ZRANGE', P .. 'p:' .. d, 0, 0, 'WITHSCORES')
if first[2] then return {'none', math.max(0, first[2] - now)} end
return {'none', -1}
