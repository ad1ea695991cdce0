package load

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/prismgate/prism/runtime/rpc"
)

// Template makes the requests of a procedure: one encoded message, with the places where each call has digits of its own.
type Template struct {
	// name is the procedure as people write it, path what is on the wire.
	name, path string
	// stream tells that it answers with a stream, keyed that its request has a key.
	stream, keyed bool
	// limit bounds a message of the response.
	limit   int
	message []byte
	patches []patch
}

// patch is a place in a request where a number stands.
type patch struct {
	at, width int
	// sequence tells that the number is that of the call, not that of its key.
	sequence bool
}

const (
	// sequenceDigits is how long {{seq}} is: enough for a month at 300,000 calls a second.
	sequenceDigits = 12
	// maxFiller bounds {{bytes N}} and {{text N}}.
	maxFiller = 1 << 30
)

// numbers are what the placeholders of a template become.
type numbers struct{ key, sequence string }

// NewTemplate makes a template of a request in JSON. encode turns JSON into the encoded message; it is called a few times, with the placeholders replaced:
//
//	{{key}}         a key
//	{{key base64}}  a key for a field of bytes
//	{{seq}}         the number of the call
//	{{bytes N}}     N bytes for a field of bytes
//	{{text N}}      N letters
func NewTemplate(method *rpc.Method, text string, keys Keys, encode func(json string) ([]byte, error)) (*Template, error) {
	if err := keys.Check(); err != nil {
		return nil, err
	}
	t := &Template{name: method.Name, path: method.Procedure, stream: method.Shape == rpc.ShapeServerStream, limit: method.MessageLimit()}
	t.keyed = strings.Contains(text, "{{key")
	if method.Interface != "" {
		t.name = method.Interface + "." + method.Name
	}
	encoded := func(n numbers) ([]byte, error) {
		filled, err := fill(text, keys, n)
		if err != nil {
			return nil, err
		}
		return encode(filled)
	}
	zeros := numbers{strings.Repeat("0", keys.digits()), strings.Repeat("0", sequenceDigits)}
	var err error
	if t.message, err = encoded(zeros); err != nil {
		return nil, err
	}
	// What differs when a number is another is where it stands.
	ones := numbers{strings.Repeat("1", keys.digits()), strings.Repeat("1", sequenceDigits)}
	for _, other := range []struct {
		numbers
		width    int
		sequence bool
	}{
		{numbers{ones.key, zeros.sequence}, keys.digits(), false},
		{numbers{zeros.key, ones.sequence}, sequenceDigits, true},
	} {
		changed, err := encoded(other.numbers)
		if err != nil {
			return nil, err
		}
		if !t.find(changed, other.width, other.sequence) {
			return nil, t.unusable()
		}
	}
	checked := numbers{"9876543210"[:keys.digits()], "987654321098"}
	want, err := encoded(checked)
	if err != nil {
		return nil, err
	}
	key, _ := strconv.Atoi(checked.key)           // digits
	sequence, _ := strconv.Atoi(checked.sequence) // digits
	if !bytes.Equal(want, appendPatched(nil, t.message, t.patches, key, int64(sequence))) {
		return nil, t.unusable()
	}
	return t, nil
}

// unusable happens when what a placeholder becomes does not stand in the message as it is, such as in a map whose entries change their order.
func (t *Template) unusable() error {
	return fmt.Errorf("the placeholders in the request of %s do not stand in the encoded message as they are written; put each into a field of its own", t.name)
}

// find adds the patches that turn the message into another.
func (t *Template) find(changed []byte, width int, sequence bool) bool {
	if len(changed) != len(t.message) {
		return false
	}
	for at := 0; at < len(changed); at++ {
		if changed[at] == t.message[at] {
			continue
		}
		if at+width > len(changed) {
			return false
		}
		t.patches = append(t.patches, patch{at, width, sequence})
		at += width - 1
	}
	return true
}

// fill replaces the placeholders of a template.
func fill(text string, keys Keys, n numbers) (string, error) {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		filled.WriteString(before)
		if !found {
			return filled.String(), nil
		}
		placeholder, after, closed := strings.Cut(rest, "}}")
		if !closed {
			// Closing braces of JSON may stand together, opening ones never do.
			return "", fmt.Errorf("the placeholder {{%s is not closed with }}", rest[:min(len(rest), 20)])
		}
		value, err := fillOne(strings.Fields(placeholder), keys, n)
		if err != nil {
			return "", fmt.Errorf("{{%s}}: %w", placeholder, err)
		}
		filled.WriteString(value)
		text = after
	}
}

func fillOne(words []string, keys Keys, n numbers) (string, error) {
	switch {
	case len(words) == 1 && words[0] == "key":
		return inJSON(keys.Prefix) + n.key, nil
	case len(words) == 2 && words[0] == "key" && words[1] == "base64":
		return base64.StdEncoding.EncodeToString([]byte(keys.Prefix + n.key)), nil
	case len(words) == 1 && words[0] == "seq":
		return n.sequence, nil
	case len(words) == 2 && (words[0] == "bytes" || words[0] == "text"):
		size, err := strconv.Atoi(words[1])
		if err != nil || size < 0 || size > maxFiller {
			return "", fmt.Errorf("the size must be a number from 0 to %d", maxFiller)
		}
		filler := letters(size)
		if words[0] == "text" {
			return string(filler), nil
		}
		return base64.StdEncoding.EncodeToString(filler), nil
	}
	return "", fmt.Errorf("it is none of {{key}}, {{key base64}}, {{seq}}, {{bytes N}}, {{text N}}")
}

// inJSON is a string as it stands between quotes.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text) // a string always becomes JSON
	return string(quoted[1 : len(quoted)-1])
}

// letters returns letters without a visible order: what compresses to nothing would flatter a server that compresses.
func letters(size int) []byte {
	filler := make([]byte, size)
	state := uint32(2463534242)
	for i := range filler {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		filler[i] = 'a' + byte(state>>8)%26
	}
	return filler
}

// appendPatched appends a request with its numbers.
func appendPatched(to, message []byte, patches []patch, key int, sequence int64) []byte {
	start := len(to)
	to = append(to, message...)
	for _, p := range patches {
		number := int64(key)
		if p.sequence {
			number = sequence
		}
		putDigits(to[start+p.at:start+p.at+p.width], number)
	}
	return to
}

// appendPart is appendPatched of message[from:to].
func appendPart(out, message []byte, patches []patch, key int, sequence int64, from, to int) []byte {
	start := len(out)
	out = append(out, message[from:to]...)
	var digits [20]byte
	for _, p := range patches {
		if p.at >= to || p.at+p.width <= from {
			continue
		}
		number := int64(key)
		if p.sequence {
			number = sequence
		}
		putDigits(digits[:p.width], number)
		first, last := max(p.at, from), min(p.at+p.width, to)
		copy(out[start+first-from:], digits[first-p.at:last-p.at])
	}
	return out
}

// putDigits writes a number with leading zeros, or its last digits when it is too long.
func putDigits(to []byte, number int64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = '0' + byte(number%10)
		number /= 10
	}
}
