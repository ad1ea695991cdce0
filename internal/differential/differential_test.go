package differential

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	only = flag.String("calls", "", "make only the calls whose name matches")
	most = flag.Int("most", 40, "print at most so many calls that differ")
	show = flag.Bool("show", false, "print the calls, and what came of them")
)

// workers is how many calls are under way at a time; most of them wait.
const workers = 32

// chosen are calls that the flag names; names are unique.
func chosen(t *testing.T, calls []call) []call {
	t.Helper()
	seen := map[string]bool{}
	pattern := regexp.MustCompile(*only)
	var out []call
	for _, c := range calls {
		require.False(t, seen[c.name], "two calls are named %q", c.name)
		seen[c.name] = true
		if pattern.MatchString(c.name) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b call) int { return strings.Compare(a.name, b.name) })
	return out
}

// each does something with every call, several at a time.
func each(ctx context.Context, calls []call, do func(context.Context, call) error) []error {
	todo := make(chan call)
	failures := make(chan error)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for c := range todo {
				if err := do(ctx, c); err != nil {
					failures <- err
				}
			}
		})
	}
	go func() {
		for _, c := range calls {
			select {
			case todo <- c:
			case <-ctx.Done():
			}
		}
		close(todo)
		working.Wait()
		close(failures)
	}()
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	return all
}

// compare makes a call on both servers at once, and returns what they do not do alike.
func (r *reach) compare(ctx context.Context, want, got *server, c call) ([]difference, error) {
	begun := time.Now()
	wanted := make(chan error, 1)
	var w outcome
	go func() {
		var err error
		w, err = r.ask(ctx, want, c)
		wanted <- err
	}()
	g, err := r.ask(ctx, got, c)
	if wantErr := <-wanted; wantErr != nil {
		return nil, fmt.Errorf("%s: %w", c.name, wantErr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if *show {
		fmt.Printf("%s (%s)\n    %s:\n%s    %s:\n%s", c, time.Since(begun).Round(time.Millisecond), want.name, w, got.name, g)
	}
	return differ(w, g), nil
}

// String is an outcome for people.
func (o outcome) String() string {
	var b strings.Builder
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "      %s = %s\n", name, o[name])
	}
	return b.String()
}

// report is what a call's servers do not do alike.
func report(c call, differences []difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", c)
	for _, d := range differences {
		fmt.Fprintf(&b, "\n    * %s", d)
	}
	return errors.New(b.String())
}

// fail fails with the first few of many failures.
func fail(t *testing.T, failures []error) {
	t.Helper()
	if len(failures) == 0 {
		return
	}
	texts := make([]string, len(failures))
	for i, failure := range failures {
		texts[i] = failure.Error()
	}
	slices.Sort(texts)
	shown := texts[:min(*most, len(texts))]
	t.Errorf("%d calls differ, the first %d:\n%s", len(texts), len(shown), strings.Join(shown, "\n\n"))
}

// TestTheStandardIsLikeItself proves that the comparison has no noise: two servers of one kind answer alike.
func TestTheStandardIsLikeItself(t *testing.T) {
	standard, other := startFront(t, "standard", true), startFront(t, "standard", true)
	calls := chosen(t, systematic())
	if *only == "" { // every third one: noise comes from the machinery, which is the same for all
		n := 0
		calls = slices.DeleteFunc(calls, func(call) bool { n++; return n%3 != 0 })
	}
	r := new(reach)
	fail(t, each(t.Context(), calls, func(ctx context.Context, c call) error {
		differences, err := r.compare(ctx, standard, other, c)
		if err != nil || len(differences) == 0 {
			return err
		}
		return report(c, differences)
	}))
	t.Logf("%d calls compared", len(calls))
}

// TestTheFrontIsLikeTheStandard compares the gateway's own front with the standard one, but for what is listed.
func TestTheFrontIsLikeTheStandard(t *testing.T) {
	standard, own, referee := startFront(t, "standard", true), startFront(t, "own", false), startReferee(t)
	calls := chosen(t, systematic())
	list := compiled(differences())
	r := new(reach)
	fail(t, each(t.Context(), calls, func(ctx context.Context, c call) error {
		return r.judge(ctx, standard, own, referee, list, c)
	}))
	t.Logf("%d calls compared", len(calls))
	if *only == "" {
		list.requireUsed(t)
	}
}

// judge compares a call on two servers, but for what is listed.
func (r *reach) judge(ctx context.Context, standard, own, referee *server, list entries, c call) error {
	differences, err := r.compare(ctx, standard, own, c)
	if err != nil || len(differences) == 0 {
		return err
	}
	differences, err = list.judge(c, differences, func() (outcome, error) { return r.ask(ctx, referee, c) })
	if err != nil || len(differences) == 0 {
		return err
	}
	return report(c, differences)
}
