package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	namespacesCase = "namespaces"
	// manyNamespaces are those of the gateway that has many.
	manyNamespaces = 1000
	// reloadPatience is how long a reload may take before the case fails.
	reloadPatience = 30 * time.Second
)

// namespaceNames are so many.
func namespaceNames(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("ns-%04d", i)
	}
	return names
}

// namespacesConfig has so many namespaces, with limits of their own, on one instance of MemStore.
func namespacesConfig(count, callsPerSecond int) string {
	var text strings.Builder
	text.WriteString("backends:\n  - {name: main, type: memstore}\nnamespaces:\n")
	for _, name := range namespaceNames(count) {
		fmt.Fprintf(&text, "  - {name: %s, backend: main, limits: {calls_per_second: %d, max_message_bytes: 1048576}}\n", name, callsPerSecond)
	}
	return text.String()
}

// aMillion is the limit that namespaces begin with. No load here reaches it.
const aMillion = 1_000_000

// measureNamespaces measures what a gateway of a thousand namespaces holds, how long a reload takes it, and what a call costs it.
func measureNamespaces(ctx context.Context, b *benchmark) error {
	if err := measureManyNamespaces(ctx, b); err != nil {
		return err
	}
	return measureNamespacesCalls(ctx, b)
}

// startNamespaces starts a gateway of so many namespaces, and makes a Set and a Get in each. It reloads when it is told to, and not because its file has changed, so
// that a reload happens once.
func startNamespaces(ctx context.Context, b *benchmark, x *exchange, count int) (*server, error) {
	s, err := b.start(ctx, gateway, setting{config: namespacesConfig(count, aMillion), flags: []string{"--watch=false"}})
	if err != nil {
		return nil, err
	}
	s.name = fmt.Sprintf("%d namespaces", count)
	if count == 1 {
		s.name = "1 namespace"
	}
	if err := s.prepareIn(ctx, namespaceNames(count), x); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// measureManyNamespaces starts a gateway afresh in every round.
func measureManyNamespaces(ctx context.Context, b *benchmark) error {
	x := get(100)
	var ready, called, added, changed, after []float64
	for round := range b.rounds {
		s, err := startNamespaces(ctx, b, x, manyNamespaces)
		if err != nil {
			return err
		}
		got, err := reloadMany(ctx, s, x)
		s.stop()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.log)
		}
		ready, called, after = append(ready, s.ready.Seconds()*1e3), append(called, got.called), append(after, got.after)
		added, changed = append(added, got.added), append(changed, got.changed)
		progress("%s: round %d/%d: ready in %.0f ms; %.1f MB; one added in %.0f ms, all changed in %.0f ms; then %.1f MB",
			namespacesCase, round+1, b.rounds, ready[round], called[round], added[round], changed[round], after[round])
	}
	b.report.command(namespacesCase, fmt.Sprintf("%d namespaces with limits on one MemStore; Set and Get in each; VmRSS %s later; "+
		"reload: from the change of the file and SIGHUP until the log says that it is done", manyNamespaces, settle))
	add := func(name, unit string, samples []float64, limit *bar, note string) {
		b.report.add(figure{Case: namespacesCase, Name: name, Unit: unit, Samples: samples, Bar: limit, Note: note})
	}
	add("1000 namespaces: exec to ready", milliseconds, ready, nil, "")
	add("1000 namespaces: RSS, each called", megabytes, called, atMost(150), "")
	add("1000 namespaces: reload, one added", milliseconds, added, atMost(1000), "")
	add("1000 namespaces: reload, the limits of all changed", milliseconds, changed, atMost(1000), "")
	add("1000 namespaces: RSS after the reloads and a scrape", megabytes, after, atMost(150), "")
	return nil
}

// reloaded is what a gateway of a thousand namespaces has done: memory in MB, times in milliseconds.
type reloaded struct{ called, added, changed, after float64 }

func reloadMany(ctx context.Context, s *server, x *exchange) (got reloaded, err error) {
	held := func() (float64, error) {
		time.Sleep(settle)
		bytes, err := s.rss()
		return bytes / 1e6, err
	}
	if got.called, err = held(); err != nil {
		return got, err
	}
	if got.added, err = s.reload(ctx, namespacesConfig(manyNamespaces+1, aMillion), "namespaces.added=1 namespaces.changed=0 "); err != nil {
		return got, err
	}
	if err := s.prepareIn(ctx, namespaceNames(manyNamespaces + 1)[manyNamespaces:], x); err != nil {
		return got, err
	}
	if got.changed, err = s.reload(ctx, namespacesConfig(manyNamespaces+1, 2*aMillion), fmt.Sprintf("namespaces.changed=%d ", manyNamespaces+1)); err != nil {
		return got, err
	}
	// Everything is there that was there before, and the scrape that this asks counts no failed call.
	if err := s.checkIn(ctx, namespaceNames(manyNamespaces+1), x); err != nil {
		return got, err
	}
	if err := s.checkCounted(ctx); err != nil {
		return got, err
	}
	got.after, err = held()
	return got, err
}

// reload gives a gateway another configuration, and returns in how many milliseconds it was taken over. The log must say of it what is wanted.
func (s *server) reload(ctx context.Context, text, want string) (float64, error) {
	written := s.log.length()
	began := time.Now()
	if err := s.configure(text); err != nil {
		return 0, err
	}
	if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	line, err := s.log.await(ctx, written, "the configuration was ", reloadPatience)
	took := time.Since(began)
	if err == nil && !strings.Contains(line, want) {
		err = fmt.Errorf("the log does not say %q of a reload but: %s", want, line)
	}
	return took.Seconds() * 1e3, err
}

// measureNamespacesCalls measures what a call costs with a thousand namespaces in turn, with a thousand of which one is called, and with one.
func measureNamespacesCalls(ctx context.Context, b *benchmark) error {
	x := get(100)
	one, err := startNamespaces(ctx, b, x, 1)
	if err != nil {
		return err
	}
	defer one.stop()
	many, err := startNamespaces(ctx, b, x, manyNamespaces)
	if err != nil {
		return err
	}
	defer many.stop()
	all := namespaceNames(manyNamespaces)
	ways := []struct {
		name       string
		server     *server
		namespaces []string
	}{{"1 namespace", one, all[:1]}, {"1000 namespaces, one called", many, all[:1]}, {"1000 namespaces, all called in turn", many, all}}
	names := make([]string, len(ways))
	for i, w := range ways {
		names[i] = w.name
	}
	samples, err := b.takeTurns(namespacesCase, names, func(i int, duration time.Duration) (sample, error) {
		return b.rotate(ctx, ways[i].server, rotation{exchange: x, namespaces: ways[i].namespaces, connections: 4, streams: 32}, duration)
	})
	if err != nil {
		return err
	}
	b.report.command(namespacesCase, "Get, 4 connections of 32 streams; threads of this process write bytes made before to blocking sockets, and write the namespace out in each call")
	for i, name := range names {
		b.report.add(figure{Case: namespacesCase, Name: name + ": calls", Unit: perSecond, Samples: column(samples[i], sample.perSecond), Note: shares(samples[i])})
		b.report.add(figure{Case: namespacesCase, Name: name + ": CPU per call", Unit: microseconds, Samples: column(samples[i], sample.cost)})
		if i > 0 {
			b.report.add(figure{
				Case: namespacesCase, Name: name + " / " + names[0] + ": CPU per call", Unit: ratio, Bar: atMost(1.1),
				Samples: divide(column(samples[i], sample.cost), column(samples[0], sample.cost)),
			})
		}
	}
	return b.checkAfter(ctx, namespacesCase, []*server{one, many})
}

// rotate puts a rotation on a server.
func (b *benchmark) rotate(ctx context.Context, s *server, r rotation, duration time.Duration) (sample, error) {
	m, err := b.read(s)
	if err != nil {
		return sample{}, err
	}
	before := ownTime()
	calls, err := r.run(ctx, s.address, duration)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w\n%s", s.name, err, s.log)
	}
	used, err := m.used()
	return used.sample(calls, ownTime()-before), err
}

// ownTime is the processor time that this process has taken.
func ownTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0 // it only fails for arguments that are not these
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
