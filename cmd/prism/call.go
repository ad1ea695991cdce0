package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// callOptions are the flags of call.
type callOptions struct {
	namespace string
	data      string
	address   string
	tls       clientTLS
	protocol  choice
	timeout   time.Duration
	first     uint
	headers   []string
}

func (c *cli) callCommand() *cobra.Command {
	o := callOptions{protocol: newChoice(string(client.GRPC), string(client.Connect), string(client.GRPCWeb))}
	command := &cobra.Command{
		Use:   "call INTERFACE.RPC --namespace NAME [--data JSON]",
		Short: "Call an RPC of a namespace",
		Long: `Call an RPC of a namespace. The RPC is named by its interface, as 'prism registry interfaces list' has it, by the
pattern that offers it, or by its procedure: keyvalue_basic.Get, multicast-registry.Register,
prism.keyvalue.v1.KeyValueBasicInterface/Get.

Requests and responses are the JSON of protobuf: bytes are base64, 64-bit integers are strings, durations are "1.5s".
The response is printed with all its fields; a stream prints one line per message as it arrives.`,
		Example: `  # Store the value "hello" under a key, and read it back
  prism call keyvalue_basic.Set --namespace default --data '{"key": "greeting", "value": "aGVsbG8="}'
  prism call keyvalue_basic.Get --namespace default --data '{"key": "greeting"}'

  # Stream all keys, one line each
  prism call keyvalue_scan.ScanKeys -n default

  # Listen until two messages have come
  prism call pubsub_basic.Subscribe -n default -d '{"topic": "news"}' --first 2 --timeout 0

  # Take the request from a file, or from standard input
  prism call keyvalue_basic.Set -n default --data @request.json
  echo '{"key": "greeting"}' | prism call keyvalue_basic.Get -n default --data @-

  # Call a gateway that serves TLS, and one on a Unix socket
  prism call keyvalue_scan.ScanKeys -n default --address https://gateway.example.com:8980
  prism call keyvalue_scan.ScanKeys -n default --address unix:/run/prism.sock`,
		Args: oneArg("INTERFACE.RPC"),
		RunE: func(command *cobra.Command, args []string) error {
			if !command.Flags().Changed("namespace") {
				return usagef("call needs --namespace, the namespace that the call addresses, such as --namespace default")
			}
			return c.call(command.Context(), args[0], o)
		},
		ValidArgsFunction: c.completeProcedures,
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAME` of the namespace to call (required)")
	flags.StringVarP(&o.data, "data", "d", "{}", "the request as `JSON`; @FILE reads it from a file, @- from standard input")
	flags.StringVar(&o.address, "address", config.DefaultListen, "the gateway's `ADDRESS`: host:port, http:// or https:// before it, or unix:PATH")
	o.tls.add(command)
	o.protocol.add(flags, "protocol", "", "what to speak")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long the call may take; 0 is without limit")
	flags.UintVar(&o.first, "first", 0, "end a stream after its first `N` messages; 0 takes all")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "a request header as `NAME:VALUE`; repeatable")
	o.protocol.completeFor(command, "protocol")
	// It fails for a flag that does not exist or is completed already: a defect, which the tests of completion show.
	_ = command.RegisterFlagCompletionFunc("data", func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if strings.HasPrefix(typed, "@") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	})
	return command
}

func (c *cli) call(ctx context.Context, name string, o callOptions) error {
	m, err := c.procedure(name)
	if err != nil {
		return err
	}
	header, err := parseHeaders(o.headers)
	if err != nil {
		return err
	}
	if !httpguts.ValidHeaderFieldValue(o.namespace) {
		return usagef("--namespace must be one line without control characters, is %q", o.namespace)
	}
	if o.timeout < 0 {
		return usagef("--timeout must not be negative, is %s", o.timeout)
	}
	request, err := c.request(ctx, m, o.data)
	if err != nil {
		return err
	}
	options, err := o.tls.options()
	if err != nil {
		return err
	}
	transport := &callTransport{header: header}
	options = append(options, client.WithProtocol(client.Protocol(o.protocol.value)), client.WithRoundTripper(func(next http.RoundTripper) http.RoundTripper {
		transport.next = next
		return transport
	}))
	gatewayClient, err := client.Dial(o.address, options...)
	if err != nil {
		return usagef("--address: %s", messageOf(err))
	}
	defer func() { _ = gatewayClient.Close() }() // it only closes idle connections
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	err = c.exchange(ctx, gatewayClient.Conn(o.namespace), m, request, o.first)
	var failure *fault.Error
	if !errors.As(err, &failure) {
		return err
	}
	answer := &callError{fault: failure}
	if lost := transport.lost.Load(); lost != nil {
		answer.advice = lost.advice(o.address)
	}
	return answer
}

// errEnough ends a stream of which enough has come.
var errEnough = errors.New("enough")

// exchange makes the call and prints what comes back, of a stream the first messages only when that is not 0.
func (c *cli) exchange(ctx context.Context, conn rpc.Conn, m *rpc.Method, request proto.Message, first uint) error {
	if m.Shape == rpc.ShapeServerStream {
		var came uint
		err := rpc.CallServerStream(ctx, conn, m, request, func(response proto.Message) error {
			if err := c.printMessage(response, ""); err != nil {
				return err
			}
			if came++; came == first {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	}
	response, err := rpc.CallUnary[proto.Message](ctx, conn, m, request)
	if err != nil {
		return err
	}
	if c.asJSON() {
		return c.printMessage(response, "")
	}
	return c.printMessage(response, "  ")
}

func (c *cli) printMessage(message proto.Message, indent string) error {
	data, err := messageJSON(message, indent)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", data)
	return err
}

// request reads --data as the request of a method.
func (c *cli) request(ctx context.Context, m *rpc.Method, data string) (proto.Message, error) {
	text, err := c.readData(ctx, data)
	if err != nil {
		return nil, err
	}
	request := m.NewRequest()
	if err := protojson.Unmarshal(text, request); err != nil {
		// protojson varies the space after its prefix on purpose, so that nobody compares.
		reason := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		if len(text) == 0 {
			reason = "it is empty; a request without fields is {}"
		}
		detail := detailOf(request)
		return nil, usagef("--data is not a %s: %s\nIts fields: %s", detail.Message, reason, detail.fieldList())
	}
	return request, nil
}

// readData returns the JSON that --data names.
func (c *cli) readData(ctx context.Context, data string) ([]byte, error) {
	name, isFile := strings.CutPrefix(data, "@")
	switch {
	case !isFile:
		return []byte(data), nil
	case name != "-":
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		return text, nil
	}
	text, err := c.readInput(ctx)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("--data: standard input: %w", err)
	}
	return text, err
}

func parseHeaders(headers []string) (http.Header, error) {
	const blanks = " \t"
	parsed := make(http.Header)
	for _, header := range headers {
		name, value, ok := strings.Cut(header, ":")
		name, value = strings.Trim(name, blanks), strings.Trim(value, blanks)
		switch {
		case !ok || name == "":
			return nil, usagef("--header must be NAME:VALUE, is %q", header)
		case !httpguts.ValidHeaderFieldName(name):
			return nil, usagef("--header: %q is not the name of a header", name)
		case strings.EqualFold(name, rpc.NamespaceHeader):
			return nil, usagef("--header %s: use --namespace", name)
		case isOwnHeader(name):
			return nil, usagef("--header %s: prism sets it itself", name)
		case !httpguts.ValidHeaderFieldValue(value):
			return nil, usagef("--header %s must be one line without control characters, is %q", name, value)
		}
		parsed.Add(name, value)
	}
	return parsed, nil
}

// isOwnHeader tells whether a header belongs to the protocols: another value would break the call, or say what is not so.
func isOwnHeader(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "connection", "content-length", "content-type", "host", "te", "transfer-encoding":
		return true
	}
	return strings.HasPrefix(name, "grpc-") || strings.HasPrefix(name, "connect-")
}

// callTransport adds headers to requests and remembers what kept one from being answered.
type callTransport struct {
	next   http.RoundTripper
	header http.Header
	lost   atomic.Pointer[lostRequest]
}

// lostRequest is a request without a response.
type lostRequest struct {
	secure bool
	err    error
}

// advice is what may be wrong about the address; or "". A gateway closes a connection that does not speak what it expects, and net/http has many words for that.
func (l *lostRequest) advice(address string) string {
	var (
		network  *net.OpError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
	)
	switch {
	case errors.Is(l.err, context.Canceled) || errors.Is(l.err, context.DeadlineExceeded):
		return ""
	case errors.As(l.err, &unknown):
		return "The system does not trust the gateway's certificate. --tls-ca names the authority that has signed it."
	case errors.As(l.err, &hostname):
		return "The gateway's certificate is for another name. --address has to use one that it is for."
	case errors.As(l.err, &network) && network.Op == "dial":
		return fmt.Sprintf("Is a gateway running at %s? 'prism serve' starts one, and --address says where it is.", address)
	case l.secure:
		return "If the gateway asks clients for certificates, --tls-cert and --tls-key show one; if it serves in clear, leave https:// and the TLS flags out."
	default:
		return "If the gateway serves TLS, call it with https://, and with --tls-ca if the system does not trust its certificate."
	}
}

func (t *callTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if len(t.header) > 0 {
		request = request.Clone(request.Context())
		for name, values := range t.header {
			request.Header[name] = values
		}
	}
	response, err := t.next.RoundTrip(request)
	if err != nil {
		t.lost.Store(&lostRequest{secure: request.URL.Scheme == "https", err: err})
	}
	return response, err
}

// CloseIdleConnections is what http.Client looks for.
func (t *callTransport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// messageOf is the sentence of an error, without its code.
func messageOf(err error) string {
	var failure *fault.Error
	if errors.As(err, &failure) {
		return failure.Message
	}
	return err.Error()
}
