package model

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TotalWords says max_total_bytes.
func TotalWords(most int) string { return "hold at most " + plural(uint64(most), "byte") + " in all" }

// Words says what a rule demands, so that "must" can stand before it: "be 1 to 1,024 bytes".
func (r Rule) Words() string {
	switch r.Kind {
	case RuleRequired:
		return "be set"
	case RuleIgnoreZero:
		return "be empty, or else:"
	case RuleItems:
		return "have " + r.Value.(Size).words("item")
	case RulePairs:
		return "have " + strings.ReplaceAll(r.Value.(Size).words("entry"), "entrys", "entries")
	case RuleUnique:
		return "have no item twice"
	case RuleBytes:
		return "be " + r.Value.(Size).words("byte")
	case RuleChars:
		return "be " + r.Value.(Size).words("character")
	case RuleCharset:
		return r.Value.(Charset).words()
	case RuleFinite:
		return "be finite"
	case RuleBounds:
		return r.Value.(Bounds).words()
	case RuleDefined:
		return "be a declared value"
	default:
		return r.valueWords()
	}
}

func (r Rule) valueWords() string {
	switch r.Kind {
	case RulePattern:
		return "match " + r.Value.(string)
	case RulePrefix:
		return fmt.Sprintf("begin with %q", r.Value)
	case RuleSuffix:
		return fmt.Sprintf("end with %q", r.Value)
	case RuleContains:
		return fmt.Sprintf("contain %q", r.Value)
	case RuleNotContains:
		return fmt.Sprintf("not contain %q", r.Value)
	case RuleConst:
		return "be " + literal(r.Value)
	case RuleIn:
		return "be " + list("one of ", r.Value.([]any))
	case RuleNotIn:
		return "not be " + list("one of ", r.Value.([]any))
	default:
		return "be valid"
	}
}

func (c Charset) words() string {
	text := c.Text
	if strings.Contains(text, " ") {
		text = "[" + text + "]"
	}
	if !c.Size.Bounded && c.Size.Min == 0 {
		return "consist of " + text
	}
	return "be " + c.Size.words("character") + " of " + text
}

func (s Size) words(noun string) string {
	switch {
	case !s.Bounded:
		return "at least " + plural(s.Min, noun)
	case s.Min == s.Max:
		return plural(s.Max, noun)
	case s.Min == 0:
		return "at most " + plural(s.Max, noun)
	}
	return number(s.Min) + " to " + plural(s.Max, noun)
}

func (b Bounds) words() string {
	low, high := "at least ", "at most "
	if b.LowOpen {
		low = "more than "
	}
	if b.HighOpen {
		high = "less than "
	}
	switch {
	case b.High == nil:
		return "be " + low + literal(b.Low)
	case b.Low == nil:
		return "be " + high + literal(b.High)
	case !b.LowOpen && !b.HighOpen:
		return "be " + literal(b.Low) + " to " + literal(b.High)
	}
	return "be " + low + literal(b.Low) + " and " + high + literal(b.High)
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number writes a number with separators: 1,024.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func literal(value any) string {
	switch v := value.(type) {
	case uint64:
		return number(v)
	case int64:
		if v < 0 {
			return "-" + number(uint64(-v))
		}
		return number(uint64(v))
	case string:
		return strconv.Quote(v)
	case EnumValue:
		if v.Name != "" {
			return v.Name
		}
		return strconv.FormatInt(v.Number, 10)
	case float64:
		if float64(float32(v)) == v {
			return strconv.FormatFloat(v, 'g', -1, 32) // as the schema has it, also for a float
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Duration:
		return duration(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(value)
}

// duration writes whole days as days, for which [time.Duration] knows hours only.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return plural(uint64(d/day), "day")
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func list(prefix string, values []any) string {
	if len(values) == 1 {
		return literal(values[0])
	}
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = literal(value)
	}
	return prefix + strings.Join(texts, ", ")
}
