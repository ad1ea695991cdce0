-- Keeps a message and sends it to live subscriptions. ARGV: retention, 'k' or 'o', topic, message. Returns its id.
local kind, topic, message = ARGV[2], ARGV[3], ARGV[4]
trim(kind, topic)
local id = call('XADD', P .. kind .. ':' .. topic, '*', 'm', message)
keep(topic)
local published = kind .. topic .. ' ' .. id .. ' ' .. message
call('PUBLISH', P .. 't:' .. topic, published)
call('PUBLISH', P .. 'a', published)
if kind == 'k' and call('EXISTS', P .. 'd:' .. topic) == 1 then wake(topic) end
return id
