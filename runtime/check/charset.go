package check

// Charset is a set of bytes, which decides a pattern such as ^[A-Za-z0-9._-]+$ without a regular expression.
type Charset [256]bool

// NewCharset makes the set of some ranges of bytes, each given by its first and its last byte: "AZaz__".
func NewCharset(pairs string) *Charset {
	var c Charset
	for i := 0; i+1 < len(pairs); i += 2 {
		for b := int(pairs[i]); b <= int(pairs[i+1]); b++ {
			c[b] = true
		}
	}
	return &c
}

// Holds tells whether a string consists of bytes of the set.
func (c *Charset) Holds(text string) bool {
	for i := range len(text) {
		if !c[text[i]] {
			return false
		}
	}
	return true
}
