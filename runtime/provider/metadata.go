package provider

import (
	"encoding/base64"
	"iter"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/rpc"
)

// metadata is header or trailer metadata, as rpc has it: names in lower case, values of names that end with "-bin" in base64.
type metadata []entry

type entry struct{ name, value string }

// Get returns the first value of a name.
func (m metadata) Get(name string) string {
	for _, e := range m {
		if strings.EqualFold(e.name, name) {
			return e.value
		}
	}
	return ""
}

// Values returns all values of a name.
func (m metadata) Values(name string) []string {
	var values []string
	for _, e := range m {
		if strings.EqualFold(e.name, name) {
			values = append(values, e.value)
		}
	}
	return values
}

// All yields everything.
func (m metadata) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, e := range m {
			if !yield(e.name, e.value) {
				return
			}
		}
	}
}

func (m *metadata) add(name, value string) { *m = append(*m, entry{strings.ToLower(name), value}) }

func (m *metadata) set(name, value string) {
	name = strings.ToLower(name)
	kept := (*m)[:0]
	for _, e := range *m {
		if e.name != name {
			kept = append(kept, e)
		}
	}
	*m = append(kept, entry{name, value})
}

// appendTo appends the entries as a repeated field. What would be more than the bound is left out, and what is neither printable ASCII nor binary.
func (m metadata) appendTo(message []byte, n number) []byte {
	for _, e := range m {
		value := e.value
		if strings.HasSuffix(e.name, "-bin") {
			decoded, ok := decodeBinary(value)
			if !ok {
				continue
			}
			value = decoded
		} else if strings.ContainsFunc(value, notPrintable) {
			continue // a header of HTTP may have more than the protocol carries
		}
		size := protowire.SizeBytes(len(e.name)) + protowire.SizeBytes(len(value)) + 2
		if len(message)+size+8 > maxMetadata {
			continue
		}
		content := appendBytes(appendBytes(make([]byte, 0, size), 1, e.name), 2, value)
		message = appendBytes(message, n, content)
	}
	return message
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// read adds one entry.
func (m *metadata) read(content []byte) error {
	var e entry
	err := eachField(content, func(n number, value field) (err error) {
		switch n {
		case 1:
			e.name, err = text("the key of a metadata entry", value)
		case 2:
			e.value = string(value.bytes)
		}
		return err
	})
	if err != nil {
		return err
	}
	binary := strings.HasSuffix(e.name, "-bin")
	if binary {
		e.value = base64.RawStdEncoding.EncodeToString([]byte(e.value))
	}
	if !h2.ValidField(e.name, e.value) || e.name != strings.ToLower(e.name) {
		return broken("a metadata entry has the key %q, or a value, that is not allowed: keys are lower case, and values printable ASCII unless the key ends with -bin", rpc.Clip(e.name))
	}
	*m = append(*m, e)
	return nil
}

// deliver gives header and trailer metadata to a call's response.
func (m metadata) deliver(add func(name, value string)) {
	for _, e := range m {
		add(e.name, e.value)
	}
}

// decodeBinary takes base64 with and without padding, as gRPC does.
func decodeBinary(value string) (string, bool) {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	return string(decoded), err == nil
}

// ofTransport tells whether a header field belongs to the way by which a call came, or says who calls, and is not the provider's to see.
func ofTransport(name string) bool {
	switch name {
	case "content-type", "content-length", "content-encoding", "te", "user-agent", "host", "connection", "accept", "accept-encoding", "authorization", "cookie", "trailer",
		"transfer-encoding", "upgrade", "keep-alive", "proxy-connection", rpc.NamespaceHeader:
		return true
	}
	return strings.HasPrefix(name, ":") || strings.HasPrefix(name, "grpc-") || strings.HasPrefix(name, "connect-")
}
