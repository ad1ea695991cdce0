package check_test

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/prismgate/prism/runtime/check"
	"github.com/prismgate/prism/runtime/fault"
)

func TestErrorsNameFieldRequirementAndValue(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 40)
	for _, c := range []struct {
		err                error
		field, description string
	}{
		{check.Must("key", "must be set"), "key", "must be set"},
		{check.Must("key", "must match ^%d$"), "key", "must match ^%d$"},
		{check.Size("key", "must be 1 to 1,024 bytes", 0), "key", "must be 1 to 1,024 bytes, has 0"},
		{check.Size("value", "must be at most 10 bytes", 1048577), "value", "must be at most 10 bytes, has 1,048,577"},
		{check.Text("topic", "must be 1 to 200 characters of a-z", "a b"), "topic", `must be 1 to 200 characters of a-z, has "a b"`},
		{check.Text("topic", "must be short", long), "topic", `must be short, has "` + strings.Repeat("é", 32) + `"…`},
		{check.Value("page_size", "must be at most 5", uint32(6)), "page_size", "must be at most 5, is 6"},
		{check.Value("ttl", "must be at most 1s", time.Minute), "ttl", "must be at most 1s, is 1m0s"},
		{check.At(check.Must("key", "must be set"), check.Index("items", 3)), "items[3].key", "must be set"},
		{check.At(check.At(check.Must("c", "must be set"), "b"), check.Key("a", int64(-1))), "a[-1].b.c", "must be set"},
		{check.Must(check.Key("labels", "a\"b"), "must be set"), `labels["a\"b"]`, "must be set"},
	} {
		var invalid *fault.Error
		if !errors.As(c.err, &invalid) {
			t.Fatalf("%v is no fault", c.err)
		}
		violation := invalid.Details[0].(*errdetails.BadRequest).GetFieldViolations()[0]
		if violation.GetField() != c.field || violation.GetDescription() != c.description || invalid.Message != c.field+": "+c.description {
			t.Errorf("got %q (%q, %q), want %q and %q", invalid.Message, violation.GetField(), violation.GetDescription(), c.field, c.description)
		}
		if invalid.Code != fault.InvalidArgument {
			t.Errorf("code %v", invalid.Code)
		}
	}
}

func TestAtLeavesOtherErrorsAlone(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	if got := check.At(other, "a"); !errors.Is(got, other) || got.Error() != "other" {
		t.Errorf("got %v", got)
	}
}

func TestCharsetHoldsWhatTheClassMatches(t *testing.T) {
	t.Parallel()
	set, class := check.NewCharset("-.09AZ__az"), regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	for b := range 256 {
		text := "a" + string([]byte{byte(b)})
		if got, want := set.Holds(text), class.MatchString(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if !set.Holds("") || check.NewCharset("").Holds("a") || !check.NewCharset("\x00\x7f").Holds("\x00\x7f") {
		t.Error("the bounds are wrong")
	}
}

func TestDuplicateFindsTheFirstRepetition(t *testing.T) {
	t.Parallel()
	many := make([]int, 100)
	for i := range many {
		many[i] = i
	}
	again := append(append([]int{}, many...), 7, 8)
	for _, c := range []struct {
		items []int
		want  int
	}{{nil, -1}, {[]int{1}, -1}, {[]int{1, 2, 1, 2}, 2}, {many, -1}, {again, 100}, {many[:16], -1}, {many[:17], -1}} {
		if got := check.Duplicate(c.items); got != c.want {
			t.Errorf("%v: got %d, want %d", c.items, got, c.want)
		}
		bytes := make([][]byte, len(c.items))
		for i, item := range c.items {
			bytes[i] = []byte{byte(item)}
		}
		if got := check.DuplicateBytes(bytes); got != c.want {
			t.Errorf("bytes of %v: got %d, want %d", c.items, got, c.want)
		}
	}
	notNumbers := make([]float64, 20)
	for i := range notNumbers {
		notNumbers[i] = math.NaN()
	}
	if check.Duplicate(notNumbers) != -1 || check.Duplicate(notNumbers[:2]) != -1 {
		t.Error("NaN is equal to NaN")
	}
}

func TestTotalsAddKeysAndValues(t *testing.T) {
	t.Parallel()
	if got := check.Total([]string{"a", "", "bcd"}); got != 4 {
		t.Errorf("strings: %d", got)
	}
	if got := check.Total([][]byte{[]byte("ab"), nil}); got != 2 {
		t.Errorf("bytes: %d", got)
	}
	if got := check.TotalMap(map[string]string{"ab": "c", "d": ""}); got != 4 {
		t.Errorf("map: %d", got)
	}
}

func TestWhatPassesAllocatesNothing(t *testing.T) {
	set, few, entries := check.NewCharset("az"), []string{"a", "b", "c"}, map[string]string{"a": "b"}
	allocated := testing.AllocsPerRun(100, func() {
		if !set.Holds("abc") || check.Duplicate(few) >= 0 || check.Total(few) != 3 || check.TotalMap(entries) != 2 {
			t.Error("wrong")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestReceivedChecksEachRequest(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	requests := []string{"a", "", "b"}
	receive := check.Received(func() (string, error) {
		if len(requests) == 0 {
			return "left over", broken
		}
		request := requests[0]
		requests = requests[1:]
		return request, nil
	}, func(request string) error {
		if request == "" {
			return check.Must("request", "must be set")
		}
		return nil
	})
	for _, want := range []struct {
		request string
		code    fault.Code
	}{{"a", fault.OK}, {"", fault.InvalidArgument}, {"b", fault.OK}} {
		if request, err := receive(); request != want.request || fault.CodeOf(err) != want.code {
			t.Errorf("got %q, %v; want %q and %s", request, err, want.request, want.code)
		}
	}
	if request, err := receive(); request != "" || !errors.Is(err, broken) {
		t.Errorf("got %q, %v; want the error of receive", request, err)
	}
}
