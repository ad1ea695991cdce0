package httprpc

import (
	"bytes"
	"errors"
	"io"

	"connectrpc.com/connect"

	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/rpc"
)

// withCompressions lets a handler take and give what runtime/compress offers. connect-go's own gzip inflates a message that is too large to its end, to say how large it
// is; ours stops at the limit.
func withCompressions(m *rpc.Method) connect.HandlerOption {
	var options []connect.HandlerOption
	names := compress.Names()
	for i := range names {
		codec, _ := compress.Get(names[len(names)-1-i]) // connect-go offers the one that it is told of last first
		options = append(options, connect.WithCompression(codec.Name(),
			func() connect.Decompressor { return &decompressor{codec: codec, method: m} },
			func() connect.Compressor { return &compressor{codec: codec} },
		))
	}
	return connect.WithHandlerOptions(options...)
}

// decompressor inflates one message after the other. It takes in the whole message, which connect-go has in memory.
type decompressor struct {
	codec  *compress.Codec
	method *rpc.Method
	source io.Reader
	// deflated and inflated are kept for the next message, and read is how much of inflated was read.
	deflated, inflated []byte
	read               int
}

func (d *decompressor) Reset(source io.Reader) error {
	if cap(d.deflated) > keptBuffer {
		d.deflated = nil
	}
	if cap(d.inflated) > keptBuffer {
		d.inflated = nil
	}
	d.source, d.inflated, d.read = source, d.inflated[:0], 0
	return nil
}

func (d *decompressor) Read(p []byte) (int, error) {
	if d.source != nil {
		if err := d.inflate(d.source); err != nil {
			return 0, err
		}
		d.source = nil
	}
	if d.read == len(d.inflated) {
		return 0, io.EOF
	}
	n := copy(p, d.inflated[d.read:])
	d.read += n
	return n, nil
}

func (d *decompressor) inflate(source io.Reader) error {
	message, err := d.take(source)
	if err != nil {
		return err
	}
	limit := d.method.MessageLimit()
	d.inflated, err = d.codec.Decompress(d.inflated[:0], message, limit)
	switch {
	case errors.Is(err, compress.ErrTooLarge):
		return toConnect(rpc.MessageTooLarge(d.method, int64(limit)+1))
	case err != nil:
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return nil
}

// take returns what is to be inflated, without a copy when connect-go's buffer can be had.
func (d *decompressor) take(source io.Reader) ([]byte, error) {
	if buffer, ok := source.(*bytes.Buffer); ok {
		return buffer.Next(buffer.Len()), nil
	}
	buffer := bytes.NewBuffer(d.deflated[:0])
	_, err := buffer.ReadFrom(source)
	d.deflated = buffer.Bytes()
	return d.deflated, err
}

func (d *decompressor) Close() error { return nil }

// compressor deflates one message after the other.
type compressor struct {
	codec *compress.Codec
	sink  io.Writer
	// message is what was written, and deflated what became of it; both are kept for the next message.
	message, deflated []byte
}

func (c *compressor) Reset(sink io.Writer) {
	if cap(c.message) > keptBuffer {
		c.message = nil
	}
	if cap(c.deflated) > keptBuffer {
		c.deflated = nil
	}
	c.sink, c.message = sink, c.message[:0]
}

func (c *compressor) Write(p []byte) (int, error) {
	c.message = append(c.message, p...)
	return len(p), nil
}

func (c *compressor) Close() error {
	var err error
	if c.deflated, err = c.codec.Compress(c.deflated[:0], c.message); err != nil {
		return err
	}
	_, err = c.sink.Write(c.deflated)
	return err
}
