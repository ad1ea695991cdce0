package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// connectCaller speaks Connect on HTTP/1.1.
type connectCaller struct {
	socket  *os.File
	request []byte
	answer  []byte
	buffer  []byte
}

func dialConnect(address string, x *exchange) (caller, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n%s: %s\r\nContent-Length: %d\r\n\r\n",
		x.procedure, address, namespaceHeader, namespace, len(x.request))
	request.Write(x.request)
	return &connectCaller{socket: socket, request: request.Bytes(), answer: x.responses[0], buffer: make([]byte, 4096)}, nil
}

func (c *connectCaller) close() error { return c.socket.Close() }

func (c *connectCaller) call() error {
	if _, err := c.socket.Write(c.request); err != nil {
		return err
	}
	read := 0
	for {
		n, err := c.socket.Read(c.buffer[read:])
		if err != nil {
			return err
		}
		read += n
		if header, body, complete := bytes.Cut(c.buffer[:read], []byte("\r\n\r\n")); complete && len(body) >= contentLength(header) {
			if !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")) || !bytes.Equal(body, c.answer) {
				return fmt.Errorf("wrong answer: %q", c.buffer[:read])
			}
			return nil
		}
		if read == len(c.buffer) {
			return fmt.Errorf("the answer is too long: %q", c.buffer)
		}
	}
}

func contentLength(header []byte) int {
	_, rest, _ := bytes.Cut(header, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, _ := strconv.Atoi(string(digits)) // 0 is a wrong answer, and reported as one
	return length
}
