package grpcserver

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
	"github.com/prismgate/prism/runtime/rpc"
)

// call is one call, as rpc.Stream and rpc.ResponseWriter.
type call struct {
	rpc.CallContext
	route    *route
	stream   *h2.Stream
	encoding *encoding
	// codec is how the request's messages may be compressed; nil when they are not.
	codec *compress.Codec

	// refusal is why the request is not to be had.
	refusal error
	// body is what is left of a request that was taken in whole.
	body     []byte
	received int

	header, trailer fields
	// only is the response of a unary call: it is sent with its trailers. raw is the same as it is on the wire, in the place of only.
	only    proto.Message
	raw     *scratch
	scratch *scratch
	// receiving is held by Receive on a stream: a handler that has returned may have left a goroutine in it, whose memory must not go to another call.
	receiving sync.Mutex
	// ended tells that the handler has returned: what it left running gets errors.
	ended atomic.Bool
}

// run serves one call.
func (r *route) run(s *h2.Stream) {
	c := &call{route: r, stream: s}
	c.Context = s.Context()
	c.Call = rpc.Call{Method: r.method, Peer: rpc.Peer{Address: s.RemoteAddr(), Protocol: "grpc"}, Header: &s.Header, Response: c}
	if c.encoding = encodingOf(s.Header.Get("content-type")); c.encoding == nil {
		r.of.count(rpc.RefusedType)
		refuseType(s)
		return
	}
	c.prepare()
	err := r.serve(&c.CallContext, &c.Call, c)
	c.ended.Store(true)
	c.finish(err)
}

// prepare finds out how the request is to be read.
func (c *call) prepare() {
	switch name := c.stream.Header.Get("grpc-encoding"); name {
	case "", "identity":
	default:
		var known bool
		if c.codec, known = compress.Get(name); !known {
			c.AddHeader("grpc-accept-encoding", acceptEncoding())
			c.refusal = fault.New(fault.Unimplemented, "the compression %q is not known here; known are %s", rpc.Clip(name), acceptEncoding())
			return
		}
	}
	if c.route.plan.Whole == 0 {
		return
	}
	c.body = c.stream.Body()
	switch {
	case c.stream.Late():
		c.refusal = fault.New(fault.DeadlineExceeded, "the request did not arrive in time")
	case len(c.body) >= prefixSize:
		if c.route.tooLarge(c.body) {
			c.refusal = rpc.MessageTooLarge(c.route.method, int64(binary.BigEndian.Uint32(c.body[1:])))
		} else if c.stream.Overflowed() {
			c.refusal = errManyRequests()
		}
	case c.stream.Overflowed():
		c.refusal = rpc.MessageTooLarge(c.route.method, int64(len(c.body)))
	}
}

func errManyRequests() error {
	return fault.New(fault.Unimplemented, "the call takes one request, and more were sent")
}

// Receive reads the next request.
func (c *call) Receive(message proto.Message) error {
	if c.route.plan.Whole == 0 {
		c.receiving.Lock()
		defer c.receiving.Unlock()
	}
	data, err := c.receive()
	if err != nil {
		return err
	}
	return c.encoding.decode(data, message)
}

// Raw tells whether messages are in protobuf's binary encoding.
func (c *call) Raw() bool { return c.encoding.binary }

// ReceiveRaw reads the next request as it is.
func (c *call) ReceiveRaw() ([]byte, error) {
	if c.route.plan.Whole == 0 {
		c.receiving.Lock()
		defer c.receiving.Unlock()
	}
	return c.receive()
}

// receive returns the next message, decompressed. It is valid until the next one is received.
func (c *call) receive() ([]byte, error) {
	switch {
	case c.ended.Load():
		return nil, io.ErrClosedPipe
	case c.refusal != nil:
		return nil, c.refusal
	}
	var flags byte
	var data []byte
	var err error
	if c.route.plan.Whole > 0 {
		flags, data, err = c.next()
	} else {
		flags, data, err = c.readNext()
	}
	if err != nil {
		return nil, err
	}
	c.received++
	if limit := c.Call.MaxMessageBytes; limit > 0 && len(data) > limit {
		return nil, c.Call.MessageTooLarge(int64(len(data))) // it was taken in before the limit was known
	}
	if flags&^1 != 0 {
		return nil, fault.New(fault.Internal, "the flags before a message are %#x; they are 0, or 1 when it is compressed", flags)
	}
	if flags == 1 {
		return c.decompress(data)
	}
	return data, nil
}

func (c *call) decompress(data []byte) ([]byte, error) {
	if c.codec == nil {
		return nil, fault.New(fault.Internal, "a message is compressed, and grpc-encoding does not say how")
	}
	limit := c.Call.MessageLimit()
	inflated, err := c.codec.Decompress(nil, data, limit)
	switch {
	case errors.Is(err, compress.ErrTooLarge):
		return nil, c.Call.MessageTooLarge(int64(limit) + 1)
	case err != nil:
		return nil, fault.Wrap(err, fault.InvalidArgument, "", "a message does not decompress with %s", c.codec.Name())
	}
	return inflated, nil
}

// next takes the only message off a request that was taken in whole.
func (c *call) next() (flags byte, data []byte, err error) {
	if c.received > 0 {
		return 0, nil, io.EOF
	}
	if len(c.body) == 0 {
		return 0, nil, fault.New(fault.Unimplemented, "the call takes one request, and none was sent")
	}
	if len(c.body) < prefixSize {
		return 0, nil, errTruncated()
	}
	size := int(binary.BigEndian.Uint32(c.body[1:]))
	switch rest := c.body[prefixSize:]; {
	case len(rest) < size:
		return 0, nil, errTruncated()
	case len(rest) > size:
		return 0, nil, errManyRequests()
	default:
		return c.body[0], rest, nil
	}
}

// errTruncated is not io.EOF, not even by its cause: a handler would take that for the end of the requests.
func errTruncated() error {
	return fault.Wrap(io.ErrUnexpectedEOF, fault.InvalidArgument, "", "the request ended before its message was complete")
}

// readNext reads a message off the stream, into memory that grows as the message comes: what its prefix says is no reason to allocate.
func (c *call) readNext() (flags byte, data []byte, err error) {
	b := c.take()
	if err := c.read(b, prefixSize); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, errTruncated()
		}
		return 0, nil, receiveError(err)
	}
	size := int64(binary.BigEndian.Uint32(b.b[1:]))
	if size > int64(c.Call.MessageLimit()) {
		return 0, nil, c.Call.MessageTooLarge(size)
	}
	flags = b.b[0]
	b.b = b.b[:0]
	if err := c.read(b, int(size)); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return 0, nil, errTruncated()
		}
		return 0, nil, receiveError(err)
	}
	return flags, b.b, nil
}

// read appends n bytes of the stream to b. io.EOF means that there were none.
func (c *call) read(b *scratch, n int) error {
	const step = 64 << 10
	for read := 0; read < n; {
		want := min(n-read, max(step, cap(b.b)-len(b.b)))
		b.b = grow(b.b, want)
		got, err := c.stream.Read(b.b[len(b.b) : len(b.b)+want])
		b.b = b.b[:len(b.b)+got]
		read += got
		if err != nil && read < n {
			if errors.Is(err, io.EOF) && read > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// receiveError makes a fault of an error of the stream. io.EOF passes.
func receiveError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err // the stream's errors wrap the context's
}

// freeScratch gives back the call's memory, unless somebody is left who may use it.
func (c *call) freeScratch() {
	if c.route.plan.Whole > 0 || !c.receiving.TryLock() {
		return // there is none, or the collector takes it
	}
	defer c.receiving.Unlock()
	if c.scratch != nil {
		c.scratch.put()
		c.scratch = nil
	}
}

// take returns the call's memory for messages that come.
func (c *call) take() *scratch {
	if c.scratch == nil {
		c.scratch = getScratch()
	}
	c.scratch.b = c.scratch.b[:0]
	return c.scratch
}

// Send sends a response.
func (c *call) Send(message proto.Message) error {
	if c.ended.Load() {
		return io.ErrClosedPipe
	}
	if c.single() {
		c.only = message
		return nil
	}
	out := getScratch()
	defer out.put()
	if err := c.encode(out, message); err != nil {
		return err
	}
	return c.sendEncoded(out)
}

// SendRaw sends a response as it is.
func (c *call) SendRaw(message []byte) error {
	if c.ended.Load() {
		return io.ErrClosedPipe
	}
	out := getScratch()
	out.b = append(append(out.b[:0], 0, 0, 0, 0, 0), message...)
	c.finishMessage(out)
	if c.single() {
		c.raw = out
		return nil
	}
	defer out.put()
	return c.sendEncoded(out)
}

// single tells that the call has one response.
func (c *call) single() bool {
	return c.route.method.Shape == rpc.ShapeUnary || c.route.method.Shape == rpc.ShapeClientStream
}

// sendEncoded sends a response with its prefix, in a stream of them.
func (c *call) sendEncoded(out *scratch) error {
	if !c.stream.HeaderSent() {
		if err := c.stream.SendHeader(c.responseHeader()); err != nil {
			return err
		}
	}
	return c.stream.SendData(out.b)
}

// compressMin is the size from which a response is compressed for a client that compresses: below, it costs more than it saves.
const compressMin = 1024

// encode appends a message with its prefix.
func (c *call) encode(out *scratch, message proto.Message) error {
	var err error
	out.b = append(out.b[:0], 0, 0, 0, 0, 0)
	if out.b, err = c.encoding.append(out.b, message); err != nil {
		return fault.Wrap(err, fault.Internal, "", "the response does not encode")
	}
	c.finishMessage(out)
	return nil
}

// finishMessage compresses a message that stands behind the room for its prefix, when that pays, and fills in the prefix.
func (c *call) finishMessage(out *scratch) {
	if codec := c.responseCodec(); codec != nil && len(out.b) >= compressMin+prefixSize {
		small := getScratch()
		defer small.put()
		var err error
		if small.b, err = codec.Compress(small.b[:0], out.b[prefixSize:]); err == nil && len(small.b) < len(out.b)-prefixSize {
			out.b = append(out.b[:prefixSize], small.b...)
			out.b[0] = 1
		}
	}
	binary.BigEndian.PutUint32(out.b[1:], uint32(len(out.b)-prefixSize))
}

// responseCodec is how responses may be compressed: as the request is, when the client takes that.
func (c *call) responseCodec() *compress.Codec {
	if c.codec == nil {
		return nil
	}
	for _, accepted := range c.stream.Header.Values("grpc-accept-encoding") {
		for name := range strings.SplitSeq(accepted, ",") {
			if strings.TrimSpace(name) == c.codec.Name() {
				return c.codec
			}
		}
	}
	return nil
}

// responseHeader returns the header block.
func (c *call) responseHeader() []byte {
	codec := c.responseCodec()
	if codec == nil && len(c.header) == 0 {
		return c.encoding.header
	}
	block := append([]byte(nil), c.encoding.header...)
	if codec != nil {
		block = h2.AppendField(block, "grpc-encoding", codec.Name())
	}
	return c.header.appendTo(block)
}

// finish ends the call with what the handler returned.
func (c *call) finish(err error) {
	defer c.freeScratch()
	defer c.dropRaw()
	single := c.single()
	if err == nil && single && c.only == nil && c.raw == nil {
		err = fault.New(fault.Internal, "the handler gave no response")
	}
	if err == nil && single {
		if c.raw == nil {
			c.raw = getScratch()
			err = c.encode(c.raw, c.only)
		}
		if err == nil {
			_ = c.stream.Respond(c.responseHeader(), c.raw.b, c.trailers(nil)) // a peer that is gone does not read it
			return
		}
	}
	if c.stream.HeaderSent() {
		if failed := c.stream.SendTrailers(c.trailers(err)); failed != nil {
			c.stream.Reset(frame.Cancel)
		}
		return
	}
	if len(c.header) > 0 || err == nil {
		_ = c.stream.Respond(c.responseHeader(), nil, c.trailers(err)) // as above
		return
	}
	// Trailers only: one block for an error before anything was sent.
	out := getScratch()
	defer out.put()
	out.b = c.route.failures.appendTrailers(append(out.b, c.encoding.header...), err, c.trailer)
	_ = c.stream.Respond(out.b, nil, nil) // as above
}

// dropRaw gives back the memory of the response.
func (c *call) dropRaw() {
	if c.raw != nil {
		c.raw.put()
		c.raw = nil
	}
}

// success is the block of trailers of a call that went well and has nothing to add.
var success = h2.AppendField(nil, "grpc-status", "0")

func (c *call) trailers(err error) []byte {
	if err == nil && len(c.trailer) == 0 {
		return success
	}
	return c.route.failures.appendTrailers(nil, err, c.trailer)
}

// SetHeader sets a field of the response's header.
func (c *call) SetHeader(name, value string) { c.header.set(name, value) }

// AddHeader adds a field to the response's header.
func (c *call) AddHeader(name, value string) { c.header.add(name, value) }

// SetTrailer sets a field of the response's trailer.
func (c *call) SetTrailer(name, value string) { c.trailer.set(name, value) }

// AddTrailer adds a field to the response's trailer.
func (c *call) AddTrailer(name, value string) { c.trailer.add(name, value) }

// scratch is memory for a message, reused.
type scratch struct{ b []byte }

// keptScratch is the largest memory that is kept.
const keptScratch = 1<<20 + 4<<10

var scratches sync.Pool

func getScratch() *scratch {
	if s, ok := scratches.Get().(*scratch); ok {
		return s
	}
	return &scratch{make([]byte, 0, 512)}
}

func (s *scratch) put() {
	if cap(s.b) <= keptScratch {
		s.b = s.b[:0]
		scratches.Put(s)
	}
}

// grow returns b with room for n bytes more.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, max(len(b)+n, 2*cap(b))), b...)
}
