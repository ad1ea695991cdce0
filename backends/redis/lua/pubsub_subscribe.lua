-- Opens a stream of a durable subscription, which is made if it is not there. ARGV: retention, topic, name, stream, 'earliest', 'latest', 'time' or 'behind', the time in ms or the
-- id, timeout in microseconds. Returns the subscription's number.
local topic, name, stream, how, start, timeout = unpack(ARGV, 2)
local d = topic .. '/' .. name
local number = call('HGET', P .. 's:' .. d, 'number')
if not number then
  local pos, from, missed = trim('k', topic), '', 0
  if how == 'latest' then
    pos = newest('k', topic)
  elseif how == 'time' then
    from = start
    if pos ~= '0-0' and (split(pos)) >= tonumber(start) then missed = 1 end
  elseif how == 'behind' then
    if call('EXISTS', P .. 'k:' .. topic) == 0 then missed = 1 end -- nothing is known of what there was
    pos = start
  end
  number = text(call('INCR', P .. 'gen'))
  call('HSET', P .. 's:' .. d, 'number', number, 'timeout', timeout, 'pos', pos, 'from', from, 'missed', missed, 'serial', 0)
  call('SET', P .. 'n:' .. number, d)
  call('SADD', P .. 'd:' .. topic, name)
  keep(topic)
end
for _, gone in ipairs(call('ZRANGEBYSCORE', P .. 'w:' .. d, '-inf', text(now - 3600000000))) do finish(d, topic, gone) end
call('ZADD', P .. 'w:' .. d, text(now), stream)
return number
