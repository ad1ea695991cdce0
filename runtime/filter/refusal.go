package filter

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prismgate/prism/runtime/fault"
)

// shown is how many bytes of the filter a message quotes, at most.
const shown = 24

// refusal is why a text is no filter.
type refusal struct {
	// at is the byte where it is wrong, counted from 0; the length of the text when something is missing at its end.
	at int
	// remedy says what is wrong and what would be right.
	remedy string
}

func refuse(at int, format string, args ...any) *refusal {
	return &refusal{at: at, remedy: fmt.Sprintf(format, args...)}
}

// fault is the refusal as the caller gets it.
func (r *refusal) fault(text string) error {
	return fault.Invalid("filter", "byte %d, at %s: %s", r.at, place(text, r.at), r.remedy)
}

// place shows the text from a byte on, so that the character that is wrong is the first in the quotes.
func place(text string, at int) string {
	rest := text[at:]
	if rest == "" {
		return "the end"
	}
	more := ""
	if len(rest) > shown {
		cut := shown
		for cut > 0 && !utf8.RuneStart(rest[cut]) {
			cut--
		}
		rest, more = rest[:max(cut, 1)], "…"
	}
	printable := func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}
	return "`" + strings.Map(printable, strings.ToValidUTF8(rest, "?")) + more + "`"
}
