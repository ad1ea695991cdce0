package nats

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The first byte of what is kept under a key.
const (
	entryValue   byte = 1
	entryRemoved byte = 2
)

// errEntry is about what no gateway has written.
var errEntry = errors.New("a message of the stream of keys is not one that a gateway wrote")

// entry is what is kept under a key. The zero value is nothing.
type entry struct {
	key   string
	value []byte
	// ttl is how long it lives since at; 0 is for ever.
	ttl      time.Duration
	at       time.Time // by the server's clock
	sequence uint64
	removed  bool
}

// encode makes the payload of a message: kind, length of the key, key, time to live in milliseconds, value. Headers would not carry all keys.
func (e *entry) encode() []byte {
	encoded := make([]byte, 0, 1+2*binary.MaxVarintLen64+len(e.key)+len(e.value))
	kind := entryValue
	if e.removed {
		kind = entryRemoved
	}
	encoded = append(encoded, kind)
	encoded = binary.AppendUvarint(encoded, uint64(len(e.key)))
	encoded = append(encoded, e.key...)
	encoded = binary.AppendUvarint(encoded, uint64(e.ttl.Milliseconds())) //nolint:gosec // it is not negative
	return append(encoded, e.value...)
}

// decodeEntry reads what encode wrote.
func decodeEntry(message *jetstream.RawStreamMsg) (entry, error) {
	data := message.Data
	if len(data) == 0 || data[0] != entryValue && data[0] != entryRemoved {
		return entry{}, errEntry
	}
	e := entry{at: message.Time, sequence: message.Sequence, removed: data[0] == entryRemoved}
	data = data[1:]
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return entry{}, errEntry
	}
	e.key, data = string(data[n:n+int(size)]), data[n+int(size):] //nolint:gosec // it is less than a length
	ttl, n := binary.Uvarint(data)
	if n <= 0 {
		return entry{}, errEntry
	}
	e.ttl, e.value = time.Duration(ttl)*time.Millisecond, data[n:] //nolint:gosec // it was a duration
	return e, nil
}

// left returns how long the entry has still to live: not more than it was given, though the server's time is known only from below.
func (e *entry) left(now time.Time) time.Duration { return min(e.ttl, e.at.Add(e.ttl).Sub(now)) }
