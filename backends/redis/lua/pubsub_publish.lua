-- Sends a message that is kept nowhere. KEYS[1] is the beginning of every channel of the namespace's topics. ARGV: topic, message.
redis.call('PUBLISH', KEYS[1] .. 't:' .. ARGV[1], ARGV[2])
redis.call('PUBLISH', KEYS[1] .. 'a', ARGV[2])
