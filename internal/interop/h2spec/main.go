// Command h2spec runs the h2spec suite, strictly, on both fronts, in clear and with TLS, and compares what fails with what is known to: nothing on our own front, a list by
// name on net/http's. Any other outcome is an error, also a case that begins to pass.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prismgate/prism/internal/interop/subject"
)

// total is how many cases h2spec has when it is strict.
const total = 146

// racing tells whether a case begins a request, which the server may answer at once, and in later writes does what is an error of a stream that is open, or that only the
// client has reset; see [startPatient].
func racing(name string) bool {
	return slices.Contains([]string{
		"5.1: closed: Sends a DATA frame after sending RST_STREAM frame",
		"5.1: closed: Sends a HEADERS frame after sending RST_STREAM frame",
		"6.9: Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream",
		"6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
		"8.1: Sends a second HEADERS frame without the END_STREAM flag",
		"8.1.2.1: Sends a HEADERS frame that contains a pseudo-header field as trailers",
		"8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length",
		"8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length",
	}, name)
}

// A run is the suite on one front, in clear or with TLS.
type run struct {
	front subject.Front
	tls   bool
}

func (r run) String() string {
	if r.tls {
		return string(r.front) + ", TLS"
	}
	return string(r.front) + ", in clear"
}

// knownFailures are the cases that fail on a front, as section and description. net/http goes its own way there:
//   - it takes a header block of 17 KB, because its frames may be larger;
//   - it closes when a SETTINGS frame names a setting twice;
//   - it ignores headers of the connection, and values of TE that are not "trailers".
//
// Of its failures in clear, an invalid preface is not among them here: the listener tells HTTP/2 from the rest before net/http sees it.
func (r run) knownFailures() []string {
	if r.front == subject.Own {
		return nil
	}
	return []string{
		"4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
		"6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE",
		"8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field",
		"8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"",
	}
}

func main() {
	log.SetFlags(0)
	prism := flag.String("prism", "bin/prism", "the gateway's `program`")
	tool := flag.String("h2spec", "", "h2spec's `program`")
	front := flag.String("front", "", "own or standard; both when empty")
	only := flag.String("only", "", "run one `section`, such as http2/6.5.3, print everything, and compare nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runAll(ctx, *prism, *tool, *front, *only); err != nil {
		log.Fatalf("h2spec: %v", err)
	}
}

func runAll(ctx context.Context, prism, tool, front, only string) error {
	fronts, err := subject.Fronts(front)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "prism-h2spec-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	certificate, err := subject.NewCertificate(dir)
	if err != nil {
		return err
	}
	// The suite waits most of the time, for answers that must not come: all runs go on at once.
	var finished []chan error
	for _, f := range fronts {
		for _, secure := range []bool{false, true} {
			r := run{f, secure}
			o := subject.Options{Prism: prism, Front: f}
			if secure {
				o.Certificate = certificate
			}
			done := make(chan error, 1)
			finished = append(finished, done)
			report := filepath.Join(dir, fmt.Sprintf("report-%d.xml", len(finished)))
			go func() {
				err := r.against(ctx, suite{tool, only, report, secure}, o)
				if err != nil {
					err = fmt.Errorf("%s: %w", r, err)
				}
				done <- err
			}()
		}
	}
	for _, done := range finished {
		err = errors.Join(err, <-done)
	}
	return err
}

// against runs the suite on a gateway of its own.
func (r run) against(ctx context.Context, s suite, o subject.Options) error {
	gateway, err := subject.Start(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(r.judge(ctx, s, o, gateway.Address), gateway.Stop())
}

// judge runs the suite and compares. When net/http fails nothing else but cases in which a later write of the client races with the answer, it runs the suite once more on
// a handler that does not answer so soon; everything must be right then. Our own front lets a client end its request after the answer, and has one try.
func (r run) judge(ctx context.Context, s suite, o subject.Options, address string) error {
	wrong, err := r.once(ctx, s, address, "")
	if err != nil || len(wrong) == 0 {
		return err
	}
	var names []string
	for _, w := range wrong {
		if r.front == subject.Own || !w.failed || !racing(w.name) {
			return errorOf(wrong)
		}
		names = append(names, w.name)
	}
	address, stop, err := startPatient(ctx, o)
	if err != nil {
		return err
	}
	wrong, err = r.once(ctx, s, address, fmt.Sprintf(" (again, on a patient handler; the gateway had answered before the end of %q)", names))
	return errors.Join(err, errorOf(wrong), stop())
}

func errorOf(wrong []difference) error {
	var lines []string
	for _, w := range wrong {
		lines = append(lines, "\n  "+w.text)
	}
	if lines == nil {
		return nil
	}
	return errors.New(strings.Join(lines, ""))
}

// once runs the suite and returns what is not as it is known to be.
func (r run) once(ctx context.Context, s suite, address, note string) ([]difference, error) {
	output, err := s.run(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	if s.only != "" {
		fmt.Fprintf(os.Stdout, "%s:\n%s\n", r, output)
		return nil, nil
	}
	fmt.Fprintf(os.Stdout, "%-20s %s%s\n", r.String()+":", lastLine(output), note)
	got, err := readReport(s.report)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	return got.compare(r.knownFailures()), nil
}

// suite is h2spec as it is run.
type suite struct {
	tool, only, report string
	tls                bool
}

func (s suite) run(ctx context.Context, address string) (output string, err error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	args := []string{"--strict", "--timeout=5", "--host=127.0.0.1", "--port=" + port, "--junit-report=" + s.report}
	if s.tls {
		args = append(args, "--tls", "--insecure")
	}
	if s.only != "" {
		args = append(args, s.only)
	}
	_ = os.Remove(s.report)
	printed, err := exec.CommandContext(ctx, s.tool, args...).CombinedOutput()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = nil // the report tells what failed
	}
	return string(printed), err
}

// lastLine is the line that counts the cases.
func lastLine(output string) string {
	for _, line := range slices.Backward(strings.Split(output, "\n")) {
		if strings.Contains(line, " tests, ") {
			return strings.TrimSpace(line)
		}
	}
	return "h2spec printed no result"
}

// difference is something that is not as it is known to be.
type difference struct {
	// name is the case, and failed tells that it failed, unknown to do so.
	name   string
	failed bool
	text   string
}

// compare says what is not as it is known to be.
func (o outcome) compare(known []string) (wrong []difference) {
	if o.tests != total {
		wrong = append(wrong, difference{text: fmt.Sprintf("%d cases ran, not %d", o.tests, total)})
	}
	for _, name := range o.skipped {
		wrong = append(wrong, difference{name: name, text: "skipped: " + name})
	}
	for _, name := range slices.Sorted(maps.Keys(o.failed)) {
		if !slices.Contains(known, name) {
			wrong = append(wrong, difference{name, true, "failed: " + name + ": " + o.failed[name]})
		}
	}
	for _, name := range known {
		if _, ok := o.failed[name]; !ok {
			wrong = append(wrong, difference{name: name, text: "passed, though it is on the list of failures: " + name})
		}
	}
	return wrong
}
