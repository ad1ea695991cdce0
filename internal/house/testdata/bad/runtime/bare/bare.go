package bare

import "testing"

type Thing struct {
	Documented int // Documented is.
	Follows    int

	Bare int
}

func (t *Thing) Method() {}

func (t hidden) Method() {}

type hidden struct{}

const Answer = 42

// Group is a group.
var (
	One = 1
	Two = 2
)

func Exported(t *testing.T) {}
