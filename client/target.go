package client

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/prismgate/prism/runtime/fault"
)

const (
	// addressForm says what an address looks like.
	addressForm = "it is host:port, http://host:port, https://host:port or unix:/path"
	unixPrefix  = "unix:"
	inClear     = "http://"
	secured     = "https://"
)

// target is where a gateway is.
type target struct {
	// base is the URL that calls are made to.
	base string
	// socket is the path of a Unix socket; "" is TCP, to the host of the URL.
	socket string
}

// parseTarget parses an address. secure tells that the connection is secured where the address does not say.
func parseTarget(address string, secure bool) (target, error) {
	scheme := inClear
	if secure {
		scheme = secured
	}
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		// gRPC writes unix:///path too, where the host between the second and the third slash is empty.
		if path == "" || strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///") || strings.Contains(path, "\x00") {
			return target{}, fault.New(fault.InvalidArgument, "%q names no socket; %s", address, addressForm)
		}
		return target{base: scheme + "localhost", socket: path}, nil
	}
	if strings.ContainsAny(address, "@?#") {
		// The address is not repeated: a user may come with a password.
		return target{}, fault.New(fault.InvalidArgument, "the address of a gateway has no user, no query and no fragment; %s", addressForm)
	}
	full := address
	if !strings.Contains(full, "://") {
		full = scheme + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return target{}, fault.New(fault.InvalidArgument, "%q is not the address of a gateway; %s", address, addressForm)
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return target{}, fault.New(fault.InvalidArgument, "the port of %q is not a number from 0 to 65535", address)
		}
	}
	if secure && u.Scheme == "http" {
		return target{}, fault.New(fault.InvalidArgument, "%q is in clear, and TLS is asked for; write %s%s, or leave the scheme out", address, secured, u.Host)
	}
	return target{base: u.Scheme + "://" + u.Host}, nil
}
