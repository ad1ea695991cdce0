package httprpc

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/fault"
)

// plainCall is a Connect unary call of the usual kind: one message each way, in an encoding of ours and uncompressed. It needs nothing of connect-go, which spends
// as much on such a call as net/http does on the request.
type plainCall struct {
	codec   frameCodec
	timeout time.Duration // 0 when the call has none
}

// plainCodecs are the content types of plain calls, letter by letter; connect-go sees to other spellings.
//
//nolint:gochecknoglobals // a table
var plainCodecs = map[string]frameCodec{
	"application/proto":               protoCodec{},
	"application/json":                jsonCodec{"json"},
	"application/json; charset=utf-8": jsonCodec{"json; charset=utf-8"},
}

// plainCallOf tells whether a request is a plain call.
func plainCallOf(r *http.Request) (plainCall, bool) {
	call := plainCall{codec: plainCodecs[r.Header.Get("Content-Type")]}
	version := r.Header.Get("Connect-Protocol-Version")
	if call.codec == nil || r.Header.Get("Content-Encoding") != "" || version != "" && version != "1" || takesCompressed(r.Header.Get("Accept-Encoding")) {
		return plainCall{}, false
	}
	if text := r.Header.Get("Connect-Timeout-Ms"); text != "" {
		const mostDigits = 10 // the protocol's
		ms, err := strconv.ParseUint(text, 10, 63)
		if err != nil || ms == 0 || len(text) > mostDigits {
			return plainCall{}, false
		}
		call.timeout = time.Duration(ms) * time.Millisecond
	}
	return call, true
}

// takesCompressed tells whether a client may take its answer compressed. Whether it does is for connect-go to find out.
func takesCompressed(acceptEncoding string) bool {
	return strings.Contains(acceptEncoding, compress.Gzip) || strings.Contains(acceptEncoding, compress.Zstd)
}

// plain serves a plain call whose message was taken in.
func (f *front) plain(w http.ResponseWriter, r *http.Request, call plainCall, in *intake) {
	ctx := r.Context()
	if call.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.timeout)
		defer cancel()
	}
	x := &exchange{first: &frame{encoded: in.message.Bytes(), codec: call.codec}}
	err := f.binding.run(ctx, x, connect.Peer{Addr: r.RemoteAddr, Protocol: connect.ProtocolConnect}, r.Header)
	if err == nil && x.sent == nil {
		err = fault.New(fault.Internal, "the handler gave no response")
	}
	if err == nil {
		in.reply, err = call.codec.MarshalAppend(in.reply[:0], x.sent)
	}
	if err != nil {
		_ = f.writer.Write(w, r, toConnect(err, x.header, x.trailer)) // a peer that is gone does not read it
		return
	}
	header := w.Header()
	for name, values := range x.header {
		header[name] = values
	}
	for name, values := range x.trailer {
		header["Trailer-"+name] = values
	}
	header["Content-Type"] = r.Header["Content-Type"]
	header["Content-Length"] = []string{strconv.Itoa(len(in.reply))}
	_, _ = w.Write(in.reply) // a peer that is gone does not read it
}
