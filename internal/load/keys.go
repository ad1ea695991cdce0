package load

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Distribution says how keys are chosen.
type Distribution string

// The distributions.
const (
	// Uniform chooses each key as often as any other.
	Uniform Distribution = "uniform"
	// Zipf chooses few keys often and most seldom: the key at rank r in proportion to 1/r^s.
	Zipf Distribution = "zipf"
	// Sequential takes one key after the other and begins anew after the last, so that as many calls as there are keys fill a store.
	Sequential Distribution = "sequential"
)

// Distributions are all of them; the first is the default.
func Distributions() []Distribution { return []Distribution{Uniform, Zipf, Sequential} }

const (
	// MaxKeys bounds [Keys.Count].
	MaxKeys = 1_000_000_000
	// maxKeySize bounds a key with its prefix.
	maxKeySize = 4096
)

// Keys are the keys that calls have. All have the same length, so that they can be written over each other in an encoded request.
type Keys struct {
	// Prefix is what every key begins with; its number follows, with leading zeros.
	Prefix string
	// Count is how many there are; at least 1.
	Count int
	// Distribution says how they are chosen; Uniform when it is empty.
	Distribution Distribution
	// Skew is the exponent s of Zipf.
	Skew float64
}

// Check says what is wrong with the keys.
func (k Keys) Check() error {
	switch {
	case k.Count < 1 || k.Count > MaxKeys:
		return fmt.Errorf("the number of keys must be from 1 to %d, is %d", MaxKeys, k.Count)
	case k.Distribution == Zipf && !(k.Skew > 0 && k.Skew <= 10):
		return fmt.Errorf("the skew of zipf must be more than 0 and at most 10, is %v", k.Skew)
	case k.size() > maxKeySize:
		return fmt.Errorf("a key must have at most %d bytes, has %d", maxKeySize, k.size())
	case strings.Contains(k.Prefix, "{{") || strings.Contains(k.Prefix, "}}"):
		return errors.New("the prefix of keys must not have {{ or }}")
	}
	return nil
}

func (k Keys) digits() int { return len(strconv.Itoa(max(k.Count-1, 0))) }

func (k Keys) size() int { return len(k.Prefix) + k.digits() }

// chooser returns a function that chooses keys. next counts the calls of all threads, for Sequential.
func (k Keys) chooser(random *rand.Rand, next func() int64) func() int {
	if k.Count == 1 {
		return func() int { return 0 }
	}
	switch k.Distribution {
	case Sequential:
		return func() int { return int(next() % int64(k.Count)) }
	case Zipf:
		return newZipf(random, k.Count, k.Skew).next
	case Uniform:
	}
	return func() int { return random.IntN(k.Count) }
}

// zipf draws ranks from 0 by rejection from the integral of 1/x^s (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions"). Unlike math/rand's it takes exponents of 1 and less, which is what real keys have, and unlike tables its cost does not grow with the keys.
type zipf struct {
	random                     *rand.Rand
	count, skew                float64
	integralOne, integralCount float64
	shortcut                   float64
}

func newZipf(random *rand.Rand, count int, skew float64) *zipf {
	z := &zipf{random: random, count: float64(count), skew: skew}
	z.integralOne = z.integral(1.5) - 1
	z.integralCount = z.integral(z.count + 0.5)
	z.shortcut = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipf) next() int {
	for {
		u := z.integralCount + z.random.Float64()*(z.integralOne-z.integralCount)
		x := z.inverse(u)
		rank := min(max(math.Floor(x+0.5), 1), z.count)
		if rank-x <= z.shortcut || u >= z.integral(rank+0.5)-z.density(rank) {
			return int(rank) - 1
		}
	}
}

func (z *zipf) density(x float64) float64 { return math.Exp(-z.skew * math.Log(x)) }

// integral is that of the density from 1 to x, by a formula that holds at an exponent of 1 too.
func (z *zipf) integral(x float64) float64 {
	logarithm := math.Log(x)
	return expm1Ratio((1-z.skew)*logarithm) * logarithm
}

func (z *zipf) inverse(u float64) float64 {
	t := max(u*(1-z.skew), -1) // rounding
	return math.Exp(log1pRatio(t) * u)
}

// expm1Ratio is (e^x - 1) / x, and its limit at 0.
func expm1Ratio(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2
}

// log1pRatio is log(1 + x) / x, and its limit at 0.
func log1pRatio(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x/2
}
