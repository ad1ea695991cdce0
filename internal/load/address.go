package load

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Address is where a server listens.
type Address struct {
	// Network is "tcp" or "unix".
	Network string
	// Dial is host and port, or the path of a socket.
	Dial string
	// Authority is what requests name as their host.
	Authority string
	// Secure tells that the address asks for TLS: its scheme is https.
	Secure bool
}

// String returns the address as it is dialed.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Dial
	}
	return a.Dial
}

// ParseAddress reads host:port, http://host:port, https://host:port or unix:/path.
func ParseAddress(text string) (Address, error) {
	const form = "it is host:port, http://host:port, https://host:port or unix:/path"
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		// gRPC writes unix:///path too, where the host between the second and the third slash is empty.
		if path == "" || strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") || strings.Contains(path, "\x00") {
			return Address{}, fmt.Errorf("%q names no socket; %s", text, form)
		}
		return Address{Network: "unix", Dial: path, Authority: "localhost"}, nil
	}
	full := text
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// It is not repeated: a user may come with a password.
		return Address{}, fmt.Errorf("that is not the address of a server; %s", form)
	}
	a := Address{Network: "tcp", Authority: u.Host, Secure: u.Scheme == "https"}
	port := u.Port()
	switch {
	case port == "" && a.Secure:
		port = "443"
	case port == "":
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("the port of %q is not a number from 1 to 65535", text)
	}
	a.Dial = net.JoinHostPort(u.Hostname(), port)
	return a, nil
}
