package h2

import (
	"iter"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// fieldOverhead is what RFC 9113 adds for each field when it counts the size of a header (section 6.5.2).
const fieldOverhead = 32

// Header is the header of a request. The four pseudo-fields are apart; the others keep their order, their lower-case names, and their values as they came.
type Header struct {
	// Method, Scheme, Authority and Path are the pseudo-fields. Authority is the field host when there is no pseudo-field.
	Method, Scheme, Authority, Path string

	names, values []string
	// few are most headers: they need no memory of their own.
	fewNames, fewValues [12]string

	size          int
	seen          pseudo
	length        int64 // of content-length, or -1
	malformed     string
	oversized     bool
	trailer       bool // these are trailers, which have no pseudo-fields
	expectPending bool // the peer waits for status 100 before it sends the body
}

// pseudo are the pseudo-fields that were seen.
type pseudo uint8

const (
	sawMethod pseudo = 1 << iota
	sawScheme
	sawAuthority
	sawPath
	sawRegular
)

func (h *Header) init() {
	h.names, h.values = h.fewNames[:0], h.fewValues[:0]
	h.length = -1
}

// Get returns the first value of a name, which is compared without case, or "".
func (h *Header) Get(name string) string {
	for i, n := range h.names {
		if len(n) == len(name) && (n == name || strings.EqualFold(n, name)) {
			return h.values[i]
		}
	}
	return ""
}

// Values returns the values of a name in their order. The slice must not be changed.
func (h *Header) Values(name string) []string {
	var values []string
	for i, n := range h.names {
		if len(n) != len(name) || n != name && !strings.EqualFold(n, name) {
			continue
		}
		if values == nil {
			values = h.values[i : i+1 : i+1] // the usual single one needs no memory
		} else {
			values = append(values, h.values[i])
		}
	}
	return values
}

// All yields each field, in order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, name := range h.names {
			if !yield(name, h.values[i]) {
				return
			}
		}
	}
}

// add takes a field off the decoder. It tells whether the decoder is to go on emitting: a field beyond the limit is decoded, for the sake of the table, and
// dropped.
func (h *Header) add(f hpack.HeaderField, limit int) bool {
	h.size += len(f.Name) + len(f.Value) + fieldOverhead
	switch {
	case h.size > limit:
		h.oversized = true
		return false
	case h.malformed != "":
		return true
	case strings.HasPrefix(f.Name, ":"):
		h.addPseudo(f.Name, f.Value)
	default:
		h.seen |= sawRegular
		h.addRegular(f.Name, f.Value)
	}
	return true
}

func (h *Header) addPseudo(name, value string) {
	var bit pseudo
	var to *string
	switch name {
	case ":method":
		bit, to = sawMethod, &h.Method
	case ":scheme":
		bit, to = sawScheme, &h.Scheme
	case ":authority":
		bit, to = sawAuthority, &h.Authority
	case ":path":
		bit, to = sawPath, &h.Path
	}
	switch {
	case h.trailer:
		h.malformed = "a pseudo-field in trailers"
	case to == nil:
		h.malformed = "an unknown pseudo-field"
	case h.seen&bit != 0:
		h.malformed = "a pseudo-field twice"
	case h.seen&sawRegular != 0:
		h.malformed = "a pseudo-field after a field"
	case !validValue(value):
		h.malformed = "a value with a control character or white space at an end"
	default:
		h.seen |= bit
		*to = value
	}
}

func (h *Header) addRegular(name, value string) {
	switch {
	case !validName(name):
		h.malformed = "a name that is no token in lower case"
		return
	case !validValue(value):
		h.malformed = "a value with a control character or white space at an end"
		return
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "upgrade", "transfer-encoding":
		h.malformed = "a field that belongs to a connection"
	case "te":
		if value != "trailers" {
			h.malformed = "te that is not trailers"
		}
	case "content-length":
		length, err := strconv.ParseUint(value, 10, 63)
		if err != nil || h.length >= 0 && h.length != int64(length) {
			h.malformed = "content-length that is no number or two"
			return
		}
		h.length = int64(length)
	case "expect":
		if strings.EqualFold(value, "100-continue") {
			h.expectPending = true
			return // it is met here, and nothing to the handler
		}
	}
	h.names = append(h.names, name)
	h.values = append(h.values, value)
}

// check tells what is wrong with a whole request, or "".
func (h *Header) check() string {
	if h.malformed != "" {
		return h.malformed
	}
	if h.Method == http.MethodConnect {
		if h.seen&(sawScheme|sawPath) != 0 || h.seen&sawAuthority == 0 {
			return "CONNECT with a scheme or a path, or without an authority"
		}
		return ""
	}
	const needed = sawMethod | sawScheme | sawPath
	if h.seen&needed != needed || h.Scheme == "" || !validMethod(h.Method) {
		return "without method, scheme or path"
	}
	if !strings.HasPrefix(h.Path, "/") && (h.Path != "*" || h.Method != http.MethodOptions) {
		return "a path that does not begin with /"
	}
	switch hosts := h.Values("host"); {
	case len(hosts) > 1:
		return "two hosts"
	case len(hosts) == 1 && h.seen&sawAuthority == 0:
		h.Authority = hosts[0]
	case len(hosts) == 1 && !strings.EqualFold(hosts[0], h.Authority):
		return "a host that is not the authority"
	}
	if strings.Contains(h.Authority, "@") {
		return "an authority with a user"
	}
	return ""
}

// validName tells whether a name is a token (RFC 9110, section 5.6.2) without upper-case letters.
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 128 || !nameBytes[c] {
			return false
		}
	}
	return name != ""
}

// validMethod tells whether a method is a token; that it has upper-case letters is usual.
func validMethod(method string) bool {
	for i := range len(method) {
		if c := method[i]; (c < 'A' || c > 'Z') && (c >= 128 || !nameBytes[c]) {
			return false
		}
	}
	return method != ""
}

// validValue tells whether a value may stand in a field: without control characters but tab, and without white space at its ends (RFC 9113, section 8.2.1).
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return value == "" || !isSpace(value[0]) && !isSpace(value[len(value)-1])
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// nameBytes are the bytes of a token, without upper-case letters.
var nameBytes = func() (table [128]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" {
		table[c] = true
	}
	return table
}()

// AppendField appends a field to a header block. It uses no table: what is sent again and again is encoded once and kept.
func AppendField(block []byte, name, value string) []byte {
	block = append(block, 0) // literal, not indexed, new name
	block = appendString(block, name)
	return appendString(block, value)
}

// AppendStatus appends the pseudo-field :status, which comes first in a response's header block.
func AppendStatus(block []byte, status int) []byte {
	switch status { // those of HPACK's static table
	case 200:
		return append(block, 0x80|8)
	case 204:
		return append(block, 0x80|9)
	case 206:
		return append(block, 0x80|10)
	case 304:
		return append(block, 0x80|11)
	case 400:
		return append(block, 0x80|12)
	case 404:
		return append(block, 0x80|13)
	case 500:
		return append(block, 0x80|14)
	}
	block = append(block, 8) // literal, not indexed, the name of entry 8
	return appendString(block, strconv.Itoa(status))
}

// appendString appends a string without Huffman's code: on a fast network the bytes cost less than the time.
func appendString(block []byte, s string) []byte {
	const prefix = 1<<7 - 1
	n := len(s)
	if n < prefix {
		block = append(block, byte(n))
	} else {
		block = append(block, prefix)
		for n -= prefix; n >= 0x80; n >>= 7 {
			block = append(block, byte(n)|0x80)
		}
		block = append(block, byte(n))
	}
	return append(block, s...)
}

// ValidField tells whether a field may be sent: a name that is a token in lower case, and a value without control characters and white space at its ends.
func ValidField(name, value string) bool { return validName(name) && validValue(value) }
