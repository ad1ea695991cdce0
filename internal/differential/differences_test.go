package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// allowed is a way in which the gateway's own front may differ from the standard one.
type allowed struct {
	// calls and what are expressions for the names of the calls, and of what differs. want and got are expressions for what the standard front and ours say;
	// an absent thing is "".
	calls, what, want, got string
	// referee tells that grpc-go does as ours does, which is checked.
	referee bool
	// random tells that it is for calls that are made up, and so may not be needed by others.
	random bool
	// reason says why ours is right, or no worse.
	reason string
}

const (
	// ours are the calls that our own code serves.
	ours = `(?:grpc|grpcjson)/.*|content types/"application/grpc[+;]?.*"(?: in| of) .*|content types/two|te/.*`
	// anything is any text, also none; something is any but none.
	anything  = `(?s:.*)`
	something = `(?s:.+)`
	// malformed is what becomes of a request that breaks a rule of RFC 9113.
	malformed = "RST_STREAM PROTOCOL_ERROR before the end"
)

// differences are all ways in which the gateway's own front may differ. An entry that no systematic call needs is a failure too.
func differences() []allowed {
	return slices.Concat(differencesOfGRPC(), differencesOfRefusals(), differencesOfDeadlines(), differencesOfHTTP())
}

// differencesOfGRPC are in how calls of gRPC are served.
func differencesOfGRPC() []allowed {
	return []allowed{
		{calls: ours, what: "end", want: "trailers", got: "HEADERS", reason: "a call that fails before anything was sent is answered with one block, Trailers-Only in PROTOCOL-HTTP2.md"},
		{calls: ours, what: "header (?:trailer|content-length|grpc-encoding)", want: "Grpc-.*|0|.empty.", got: "", reason: "connect-go announces trailers and lengths that no client of gRPC reads"},
		{calls: ours, what: "header grpc-accept-encoding", want: "gzip,zstd", got: "", reason: "what is accepted is told when it matters: when a request was compressed in another way"},
		{calls: ours, what: "handler header host", want: anything, got: "", reason: "the authority is no metadata; connect-go has it because net/http knows it as a header"},
		{calls: ours, what: "handler header trailer", want: "", got: something, referee: true, reason: "net/http takes it for itself; it is metadata like any other"},
		{calls: ours, what: "handler header cookie", want: "a=1; b=2", got: `a=1 \| b=2`, referee: true, reason: "values of metadata are not joined"},
		{calls: ours, what: "handler header content-type", want: "application/grpc", got: "application/grpc;|application/grpc . application/json", reason: "a handler sees what was sent"},
		{calls: ours, what: "trailer grpc-message", want: ".empty.", got: "", reason: "an empty message is left out"},
		{
			calls: ours, what: "header grpc-encoding|message .* has flags", want: "gzip|zstd|1", got: "|0",
			reason: "an answer is compressed only as the request was, and only when the client says that it takes that; as grpc-go does",
		},
		{calls: `.*/response metadata/.*reserved.*`, what: "(?:header|trailer|metadata) grpc-x", want: "1", got: "", reason: "names that begin with grpc- are the protocol's"},
		{calls: `.*/response metadata/.*cache.*`, what: "(?:header|trailer|metadata) cache-control", want: "", got: "no-store", reason: "to gRPC it is metadata, wherever it stands; net/http takes it out of trailers"},
		{calls: `.*/outcomes/.*metadata, no answer`, what: "metadata x-(?:head|trail)", want: "", got: "[ab]", reason: "what a handler has set is sent, also when it then gives no answer"},
	}
}

// differencesOfRefusals are in how calls of gRPC are refused that are not right.
func differencesOfRefusals() []allowed {
	withParameters := `content types/"application/grpc(?:\+proto)?;.*`
	refusal := "HTTP 200, (?:3|8|12|13)|INVALID_ARGUMENT|RESOURCE_EXHAUSTED|UNIMPLEMENTED|INTERNAL"
	emptyJSON := `grpcjson/(?:compression/gzip, flagged but empty in .*|envelopes/text "")`
	return []allowed{
		{
			calls: ours, what: "handler", want: "not called", got: "called, returned .*, received .*",
			reason: "a request that cannot be read is known when it is received: the pipeline has counted and authorised the call by then",
		},
		{
			calls: `content types/.*|.*/targets/.*|.*/half open/refused by its method`, what: "end|header (?:content-type|x-content-type-options|content-length|accept)|body|text",
			want: `DATA|text/plain; charset=utf-8|nosniff|[0-9]*|\(words\)|`, got: `HEADERS|""||application/grpc, .*`, reason: "a refusal has no text: no client of gRPC shows it",
		},
		{calls: withParameters, what: "result", want: "HTTP 415, no code|HTTP 404, unimplemented", got: "HTTP 200, (?:0|12)", referee: true, reason: "a content type of gRPC may have parameters"},
		{calls: withParameters, what: "handler", want: "not called", got: "called, returned nothing", reason: "as above"},
		{calls: `content types/"application/grpc\+.*" of nothing`, what: "result", want: "HTTP 200, 12", got: "HTTP 415, no code", reason: "an encoding that is not known is refused before the method is looked for"},
		{calls: withParameters, what: "header content-type", want: "application/grpc.proto; a=b", got: "application/grpc.proto", reason: "the parameters are the client's"},
		{calls: ours, what: "result", want: "HTTP 404, no code", got: "HTTP 405, no code", reason: "gRPC is called with POST, whatever the path"},
		{
			calls: `.*/envelopes/.* in (?:Unary|ServerStream)|.*/streams/a server stream is asked twice`, what: "result", want: "HTTP 200, 13", got: "HTTP 200, 12",
			reason: "more than one request is UNIMPLEMENTED, as gRPC's list of status codes says, also when what follows is no whole message",
		},
		{
			calls: `.*/envelopes/.*`, what: "result|handler re.*", want: "HTTP 200, 13|INTERNAL", got: "HTTP 200, 3|INVALID_ARGUMENT",
			reason: "a request that ends early is the client's fault, within a prefix as within a message, where connect-go agrees",
		},
		{calls: `.*/targets/path ".*(?:\?|%61).*"`, what: "result", want: "HTTP 200, 0", got: "HTTP 200, 12", referee: true, reason: "a path of gRPC is the method's name letter by letter; it has no query and no escapes"},
		{calls: `.*/targets/path ".*(?:\?|%61).*"`, what: "handler", want: "called, returned nothing", got: "not called", reason: "as above"},
		{calls: `.*/targets/path ".*%(?:zz|2)"`, what: "result", want: malformed, got: "HTTP 200, 12|HTTP 400, no code", reason: "it is an unknown method to gRPC, and a bad request to HTTP; no rule of HTTP/2 is broken"},
		{
			calls: `.*/cancels/.*`, what: "handler", want: "called, returned CANCELED, received CANCELED, context canceled", got: "not called",
			reason: "a call that is given up before its message is there has not begun",
		},
		{
			calls: `.*/envelopes/random in .*`, what: "result|handler re.*", want: refusal, got: refusal, random: true,
			reason: "where a spoiled body breaks several rules at once, any of them may be told",
		},
		{
			calls: `.*/envelopes/random in .*`, what: "handler deadline", want: "none", got: something, random: true,
			reason: "the standard front refuses what is too large, or seems to be, before it looks at the deadline",
		},
		{calls: emptyJSON, what: "result|handler .*", want: anything, got: anything, reason: "the smallest message of JSON is {}; connect-go takes nothing for it"},
	}
}

// differencesOfDeadlines are in calls that have little time, or say so badly.
func differencesOfDeadlines() []allowed {
	streaming := `.*/deadlines/(?:before|within|while receiving).* in (?:ClientStream|Bidi)`
	whole := `.*/deadlines/.* in (?:Unary|ServerStream)`
	odd := `.*/malformed deadlines/"(?:\+1S|-0S|000000001S)".*`
	return []allowed{
		{
			calls: streaming, what: "result", want: "no answer|unfinished", got: "HTTP 200, 4",
			reason: "a deadline wakes a handler that receives, and the client is told; connect-go's waits until the client goes, grpc-go resets the stream",
		},
		{calls: streaming, what: "handler", want: "called 1 times, returned 0 times", got: "called", reason: "as above"},
		{calls: streaming, what: "notes", want: "waited in vain .*", got: "", reason: "as above"},
		{
			calls: whole, what: "handler (?:context|message 0|receive|deadline)", want: "none|DEADLINE_EXCEEDED|", got: anything,
			reason: "a call whose message comes too late has the deadline of every other call; the standard front refuses it before it makes one",
		},
		{calls: `.*/deadlines/99999999[HM] in .*`, what: "handler deadline", want: "none|1666666h.*", got: "875999h59m59.*", reason: "no process runs for a hundred years; there, longer ones are cut"},
		{calls: odd, what: "result", want: "HTTP 200, [04]", got: "HTTP 200, 3", reason: "PROTOCOL-HTTP2.md has one to eight digits and no sign"},
		{calls: odd, what: "handler", want: "called, .*", got: "not called", reason: "as above"},
	}
}

// differencesOfHTTP are in HTTP/2 itself, and so in all protocols.
func differencesOfHTTP() []allowed {
	edges := `.*(?:leading|trailing) (?:space|tab) in .*|.*/compression/accepting " gzip " in .*|content types/"(?: application/grpc|application/grpc )" .*|.*/malformed deadlines/"1M " in .*`
	large := `.*/metadata/header list of [0-9]+ KiB in .*|.*/header rules/trailer with large|.*/response metadata/.*long in .*`
	return []allowed{
		{calls: anything, what: "result", want: "GOAWAY PROTOCOL_ERROR", got: malformed, reason: "a malformed header is an error of its stream (RFC 9113, 8.1.1); net/http ends the connection when DATA follows"},
		{calls: anything, what: "afterwards", want: "the connection ends: PROTOCOL_ERROR", got: "the connection works", reason: "as above"},
		{
			calls: `(?:connect|json|grpcweb)/.*`, what: "reset", want: "NO_ERROR after the end", got: "",
			reason: "a client of HTTP may end its request after the answer, and is told to stop only when it goes on",
		},
		{calls: edges, what: "result", want: "HTTP .*", got: malformed, reason: "a value must not begin or end with white space (RFC 9113, 8.2.1)"},
		{
			calls: `te/.*|.*/metadata/(?:connection|keep-alive|proxy-connection|transfer-encoding|upgrade|te deflate|another host) in .*`, what: "result", want: "HTTP .*", got: malformed,
			reason: "fields of a connection, te but for trailers, and a host that is not the authority make a request malformed (RFC 9113, 8.2.2 and 8.3.1)",
		},
		{calls: `.*/lengths/.*`, what: "result", want: "HTTP .*", got: malformed, reason: "a body that is not as long as it says makes a request malformed (RFC 9113, 8.1.1)"},
		{calls: `.*/targets/path "(?:\*|http://.*)"`, what: "result", want: "HTTP .*", got: malformed, reason: "a path begins with a slash, but for OPTIONS (RFC 9113, 8.3.1)"},
		{calls: `.*/header rules/trailer with connection`, what: "result", want: "HTTP .*", got: malformed, reason: "what makes a header malformed makes a trailer malformed"},
		{calls: `.*/header rules/real connect`, what: "result", want: "HTTP 404, no code", got: "HTTP 405, no code", reason: "CONNECT is no method that is served here, and has no path that could be unknown"},
		{calls: `.*/metadata/host in .*|.*/header rules/host for authority`, what: "handler header host", want: something, got: "", reason: "net/http promises handlers that Host is not among a request's header fields"},
		{calls: `.*/header rules/another scheme`, what: "result", want: malformed, got: "HTTP .*", reason: "a scheme need not be one of HTTP (RFC 9113, 8.3.1)"},
		{calls: large, what: "result", want: "GOAWAY COMPRESSION_ERROR", got: "HTTP 431, no code|" + malformed, reason: "a header that is too large is decoded all the same, and costs its call only"},
		{calls: large, what: "afterwards", want: "the connection ends: COMPRESSION_ERROR", got: "the connection works", reason: "as above"},
		{calls: large, what: "end|body|header content-(?:length|type)", want: `DATA|".*HTTP Error 431.*|63|text/html.*`, got: `HEADERS|""|0|`, reason: "431 says it all"},
		{calls: `.*/metadata/in fragments of 1`, what: "result", want: "HTTP 200, .*", got: "GOAWAY ENHANCE_YOUR_CALM", reason: "a header in more than 64 frames is a flood of CONTINUATION"},
		{calls: `.*/metadata/in fragments of 1`, what: "afterwards", want: "the connection works", got: "the connection ends: ENHANCE_YOUR_CALM", reason: "as above"},
		{calls: `.*/response metadata/.*/(?:trailer )?connection in .*`, what: "afterwards", want: "the connection ends: NO_ERROR", got: "the connection works", reason: "a handler has no say in the connection"},
		{calls: `.*/response metadata/.*spaces in .*`, what: "(?:header|trailer|web trailer|metadata) (?:trailer-)?x-a", want: " a  b ", got: "(?:a  b)?", reason: "a value must not begin or end with white space (RFC 9113, 8.2.1)"},
		{calls: `grpcweb/outcomes/.*/words`, what: "trailer grpc-message", want: "(?s:scripted 100%.* end )", got: "(?s:scripted 100%.* end)", reason: "as above; connect-go does not escape the space at the end"},
	}
}

// entry is an allowed difference that is looked up.
type entry struct {
	allowed
	calls, what, want, got *regexp.Regexp
	used                   atomic.Int64
}

type entries []*entry

func compiled(all []allowed) entries {
	var out entries
	whole := func(expression string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + expression + `)$`) }
	for _, a := range all {
		out = append(out, &entry{allowed: a, calls: whole(a.calls), what: whole(a.what), want: whole(a.want), got: whole(a.got)})
	}
	return out
}

// find returns the entry that allows a difference.
func (all entries) find(c call, d difference) *entry {
	for _, e := range all {
		if e.calls.MatchString(c.name) && e.what.MatchString(d.what) && e.want.MatchString(d.want) && e.got.MatchString(d.got) {
			return e
		}
	}
	return nil
}

// judge returns the differences of a call that no entry allows. Where an entry says that the referee does the same, the referee is asked, with a function that makes the
// call on it.
func (all entries) judge(c call, found []difference, ask func() (outcome, error)) ([]difference, error) {
	var bad []difference
	var referee outcome
	for _, d := range found {
		e := all.find(c, d)
		if e == nil {
			bad = append(bad, d)
			continue
		}
		e.used.Add(1)
		if !e.referee {
			continue
		}
		if referee == nil {
			var err error
			if referee, err = ask(); err != nil {
				return nil, err
			}
		}
		if said := referee[d.what]; said != strings.TrimSuffix(strings.TrimPrefix(d.got, "("), ")") && said != d.got && (said != "" || d.got != "(empty)") {
			d.got += fmt.Sprintf("\n        but grpc-go:  %s", orAbsent(said))
			bad = append(bad, d)
		}
	}
	return bad, nil
}

// requireUsed fails for every entry that no call has needed.
func (all entries) requireUsed(t *testing.T) {
	t.Helper()
	for _, e := range all {
		if e.used.Load() == 0 && !e.random {
			t.Errorf("no call differs as the list says (%s, %s: %q, %q): take the entry out", e.allowed.calls, e.allowed.what, e.allowed.want, e.allowed.got)
		}
		if e.reason == "" {
			t.Errorf("the entry (%s, %s) has no reason", e.allowed.calls, e.allowed.what)
		}
	}
}
