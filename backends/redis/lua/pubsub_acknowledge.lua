-- ARGV: retention, topic, name, number, ids. Returns 1; or 0 when the subscription has another number.
local d = ARGV[2] .. '/' .. ARGV[3]
if call('HGET', P .. 's:' .. d, 'number') ~= ARGV[4] then return 0 end
local waits = false
for i = 5, #ARGV do waits = settle(d, ARGV[i]) or waits end
if waits then wake(ARGV[2]) end
return 1
