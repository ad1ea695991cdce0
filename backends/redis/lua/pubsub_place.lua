-- ARGV: retention, topic, 'earliest', 'latest', or an id. Returns the id behind which a stream of ordered messages begins; '' when it is not known what there was behind the id.
local topic, start = ARGV[2], ARGV[3]
if start == 'latest' then return newest('o', topic) end
local last = trim('o', topic)
if start == 'earliest' then return last end
if call('EXISTS', P .. 'o:' .. topic) == 0 then return '' end
return start
