package main

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/internal/load"
	"github.com/prismgate/prism/runtime/rpc"
)

// benchPlan makes the plan that the flags ask for.
func (c *cli) benchPlan(ctx context.Context, o *benchOptions) error {
	if !httpguts.ValidHeaderFieldValue(o.namespace) {
		return usagef("--namespace must be one line without control characters, is %q", o.namespace)
	}
	if o.rounds < 1 || o.rounds > 10_000 {
		return usagef("--rounds must be from 1 to 10000, is %d", o.rounds)
	}
	header, err := parseHeaders(o.headers)
	if err != nil {
		return err
	}
	o.plan.Protocol = load.Protocol(o.protocol.value)
	o.plan.Keys.Distribution = load.Distribution(o.distribution.value)
	o.plan.Header = []load.Field{load.Namespace(o.namespace)}
	for name, values := range header {
		for _, value := range values {
			o.plan.Header = append(o.plan.Header, load.Field{Name: strings.ToLower(name), Value: value})
		}
	}
	// A map has no order, and runs are to be the same.
	slices.SortStableFunc(o.plan.Header[1:], func(a, b load.Field) int { return strings.Compare(a.Name, b.Name) })
	if err := o.plan.Keys.Check(); err != nil {
		return usagef("%s", err)
	}
	if err := c.benchMix(ctx, o); err != nil {
		return err
	}
	if err := o.plan.Check(); err != nil {
		return usagef("%s", err)
	}
	return nil
}

// benchMix finds the procedures and makes their templates.
func (c *cli) benchMix(ctx context.Context, o *benchOptions) error {
	weighted, err := load.ParseMix(o.mix)
	if err != nil {
		return usagef("--mix: %s", err)
	}
	methods := make([]*rpc.Method, len(weighted))
	for i, w := range weighted {
		if methods[i], err = c.procedure(w.Name); err != nil {
			return err
		}
		if slices.Index(methods, methods[i]) < i {
			return usagef("--mix: %s is in the mix twice", w.Name)
		}
	}
	texts, err := c.benchData(ctx, o.data, methods)
	if err != nil {
		return err
	}
	for i, m := range methods {
		template, err := load.NewTemplate(m, texts[i], o.plan.Keys, func(json string) ([]byte, error) {
			request, err := c.request(ctx, m, json)
			if err != nil {
				return nil, err
			}
			return proto.MarshalOptions{Deterministic: true}.Marshal(request)
		})
		var usage *usageError
		switch {
		case errors.As(err, &usage):
			return err
		case err != nil:
			return usagef("--data: %s", err)
		}
		o.plan.Mix = append(o.plan.Mix, load.Share{Template: template, Weight: weighted[i].Weight})
	}
	return nil
}

// benchData returns the template of each method: what --data says of it, or else what it says of all.
func (c *cli) benchData(ctx context.Context, data []string, methods []*rpc.Method) ([]string, error) {
	texts, common := make([]string, len(methods)), ""
	set := func(to *string, what, value string) error {
		if *to != "" {
			return usagef("--data is given twice for %s", what)
		}
		text, err := c.readData(ctx, value)
		if err != nil {
			return err
		}
		// What is read is JSON and must not name a file again.
		if *to = strings.TrimSpace(string(text)); *to == "" || strings.HasPrefix(*to, "@") {
			return usagef("--data for %s is not JSON; a request without fields is {}", what)
		}
		return nil
	}
	for _, given := range data {
		name, value, named := strings.Cut(given, "=")
		if named = named && !strings.ContainsAny(name, `{"@`); !named {
			if err := set(&common, "all RPCs", given); err != nil {
				return nil, err
			}
			continue
		}
		m, err := c.procedure(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		i := slices.Index(methods, m)
		if i < 0 {
			return nil, usagef("--data is for %s, which is not called", name)
		}
		if err := set(&texts[i], strings.TrimSpace(name), value); err != nil {
			return nil, err
		}
	}
	for i := range texts {
		switch {
		case texts[i] != "":
		case common != "":
			texts[i] = common
		default:
			texts[i] = "{}"
		}
	}
	return texts, nil
}

// targets are the servers to measure.
func (o *benchOptions) targets() ([]*load.Target, error) {
	if o.against == "" && len(o.againstPIDs) > 0 {
		return nil, usagef("--against-pid takes --against, the address of the second server")
	}
	config, err := o.tls.config()
	if err != nil {
		return nil, err
	}
	if config == nil && (o.useTLS || o.skipVerify) {
		config = new(tls.Config)
	}
	if config != nil {
		config.InsecureSkipVerify = o.skipVerify
	}
	first, err := newTarget("--address", o.address, config, "--pid", o.pids)
	if err != nil || o.against == "" {
		return []*load.Target{first}, err
	}
	second, err := newTarget("--against", o.against, config, "--against-pid", o.againstPIDs)
	return []*load.Target{first, second}, err
}

// newTarget makes a target of an address. With a TLS configuration, or when the address says so, it is called with TLS.
func newTarget(flag, address string, config *tls.Config, pidFlag string, pids []int) (*load.Target, error) {
	parsed, err := load.ParseAddress(address)
	if err != nil {
		return nil, usagef("%s: %s", flag, err)
	}
	for _, pid := range pids {
		if pid < 1 {
			return nil, usagef("%s must be the number of a process, is %d", pidFlag, pid)
		}
	}
	switch {
	case config != nil && strings.HasPrefix(address, "http://"):
		return nil, usagef("%s: %s is in clear, and TLS is asked for; write https://, or leave the scheme out", flag, parsed)
	case config == nil && parsed.Secure:
		config = new(tls.Config)
	}
	return &load.Target{Address: parsed, TLS: config, PIDs: pids}, nil
}
