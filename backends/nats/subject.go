package nats

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// maxPlain is the longest name that a subject shows as it is.
const maxPlain = 40

// The second token of every subject.
const (
	// kindKeys is where keys are kept, and kindState what gateways share.
	kindKeys, kindState = "kv", "state"
	// kindKept is where topics are kept, and kindLive where their messages are sent.
	kindKept, kindLive = "kept", "live"
	// kindNote is where gateways tell each other something.
	kindNote = "note"
)

// The third token of a topic's subjects: which method published.
const (
	passing    = "l" // kept nowhere
	persistent = "p"
	ordered    = "o"
)

// token makes one token of a subject of any string, another one for each: the string itself, where a subject can carry it and a person can read it, else its hash. No two of them meet,
// because the first character tells which it is.
func token(s string) string {
	if len(s) <= maxPlain && strings.IndexFunc(s, notPlain) < 0 {
		return "t" + s
	}
	return "h" + hash(s)
}

func notPlain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// hash makes 43 characters that a subject and the name of a consumer can carry.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part)) // of one length each, so that no two sets of parts give the same bytes
		h.Write(sum[:])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// topicTokens makes tokens of a topic or pattern, one for each of its own, so that NATS's wildcards mean what the contract's mean. NATS has no empty token, and a topic has no "=".
func topicTokens(topic string) string {
	tokens := strings.Split(topic, ".")
	for i, t := range tokens {
		if t == "" {
			tokens[i] = "="
		}
	}
	return strings.Join(tokens, ".")
}

// subject is a subject of the instance.
func (s *Store) subject(kind string, tokens ...string) string {
	return s.prefix + "." + kind + "." + strings.Join(tokens, ".")
}
