-- ARGV: retention, topic. Returns the id of the newest kept message, or nothing.
local topic = ARGV[2]
trim('k', topic)
local last = call('XREVRANGE', P .. 'k:' .. topic, '+', '-', 'COUNT', 1)
return last[1] and last[1][1]
