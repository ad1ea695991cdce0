-- Ends a stream of a durable subscription. ARGV: retention, number, stream, 'forget' to forget the subscription too, '1' when a Missed could not be sent, what the stream has sent since
-- the last time. Returns whether the stream was there.
local number, stream, forget, missed, list = unpack(ARGV, 2)
local d = call('GET', P .. 'n:' .. number)
if not d then return 0 end
local topic, name = string.match(d, '^([^/]*)/(.*)$')
sent(d, stream, call('HGET', P .. 's:' .. d, 'timeout'), list)
local was = finish(d, topic, stream)
if missed == '1' then call('HSET', P .. 's:' .. d, 'missed', 1) end
if forget == 'forget' then
  for _, other in ipairs(call('ZRANGE', P .. 'w:' .. d, 0, -1)) do call('DEL', P .. 'r:' .. d .. '/' .. other) end
  for _, kind in ipairs({'s:', 'i:', 'q:', 'p:', 'a:', 'w:', 'f:'}) do call('DEL', P .. kind .. d) end
  call('DEL', P .. 'n:' .. number)
  call('SREM', P .. 'd:' .. topic, name)
  keep(topic)
  wake(topic)
end
return was
