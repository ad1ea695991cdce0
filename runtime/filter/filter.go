// Package filter is Prism's CEL subset: expressions about a message's attributes. docs/filter.md has its grammar and its meaning.
//
// cel-go parses. What it parses is compiled into a tree of our own, because a filter has a meaning where CEL has an error (an attribute that is missing),
// and because it is evaluated for each message and each subscriber: it allocates nothing and takes time linear in the filter and the attributes.
package filter

// The limits of a filter. They bound what a subscriber can make a publisher pay for.
const (
	// MaxBytes is how long the text of a filter may be.
	MaxBytes = 4096
	// MaxComparisons is how many comparisons, functions and questions for an attribute it may have.
	MaxComparisons = 100
	// MaxNesting is how many parentheses that group may be open at once.
	MaxNesting = 50
)

// Filter is a compiled filter. It may be used by many goroutines at once. The zero value holds for every message, as an empty filter does.
type Filter struct {
	root condition
}

// Compile compiles the text of a filter. One that is too large or not of the subset is INVALID_ARGUMENT; the message says at which byte, counted from 0,
// what is wrong there and what would be right.
func Compile(text string) (*Filter, error) {
	root, err := compile(text)
	if err != nil {
		return nil, err.fault(text)
	}
	return &Filter{root: root}, nil
}

// Matches tells whether attributes satisfy the filter.
func (f *Filter) Matches(attributes map[string]string) bool {
	return f.root == nil || f.root.holds(attributes)
}
