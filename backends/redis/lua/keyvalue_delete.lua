-- Removes keys, and their names from an index. Answers how many there were. Unlike a transaction of the server's own, a script that stores nothing is run also when the memory is full.
-- KEYS: the keys, and last the index. ARGV: the names in the index.
local index = table.remove(KEYS)
redis.call('ZREM', index, unpack(ARGV))
return redis.call('DEL', unpack(KEYS))
