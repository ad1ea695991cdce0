package backend

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"
	"sync"

	"github.com/prismgate/prism/runtime/fault"
)

// tagSize is 128 bits of the HMAC: beyond forging by guesses over a network, and half as long in every page.
const tagSize = 16

// Tokens seals and opens page tokens: what a backend needs to go on, authenticated and bound to the request that it belongs to. The content is not secret.
type Tokens struct {
	// macs are keyed already, which is half of what a token costs.
	macs sync.Pool
}

// NewTokens returns Tokens under a key, which every gateway that shall accept them has. It should be 32 random bytes.
func NewTokens(key []byte) *Tokens {
	return &Tokens{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Seal makes a token of a position. The binding names what the token is good for: namespace, procedure and the request's other fields.
func (t *Tokens) Seal(position []byte, binding ...string) string {
	return base64.RawURLEncoding.EncodeToString(append(t.tag(position, binding), position...))
}

// Open returns the position in a token. The error is INVALID_ARGUMENT, on the field page_token.
func (t *Tokens) Open(token string, binding ...string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// The decoder skips line breaks; a token has none, and has one spelling.
	if err != nil || strings.ContainsAny(token, "\r\n") || len(sealed) < tagSize || !hmac.Equal(sealed[:tagSize], t.tag(sealed[tagSize:], binding)) {
		return nil, fault.Invalid("page_token", "is not a token that this request can go on with; pass the page_token of an answer to the same request, unchanged, or none to begin")
	}
	return sealed[tagSize:], nil
}

func (t *Tokens) tag(position []byte, binding []string) []byte {
	mac := t.macs.Get().(hash.Hash)
	defer t.macs.Put(mac)
	mac.Reset()
	// The number of parts and their lengths go in too, so that no two sets of arguments give the same bytes.
	writeSize(mac, len(binding))
	for _, part := range binding {
		writeSize(mac, len(part))
		mac.Write([]byte(part))
	}
	mac.Write(position)
	return mac.Sum(nil)[:tagSize]
}

func writeSize(mac hash.Hash, size int) {
	var encoded [8]byte
	binary.BigEndian.PutUint64(encoded[:], uint64(size))
	mac.Write(encoded[:])
}
