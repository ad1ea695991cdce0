package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Share is a procedure with how often it is called.
type Share struct {
	// Template makes its requests.
	Template *Template
	// Weight is its part of all calls, relative to the others'.
	Weight int
}

// Mix is what is called. It must not be empty.
type Mix []Share

// maxWeight bounds a weight, so that their sum is a number.
const maxWeight = 1_000_000

func (m Mix) check() error {
	if len(m) == 0 {
		return errors.New("a run needs a procedure to call")
	}
	for _, share := range m {
		if share.Weight < 1 || share.Weight > maxWeight {
			return fmt.Errorf("the weight of %s must be from 1 to %d, is %d", share.Template.name, maxWeight, share.Weight)
		}
	}
	return nil
}

// chooser returns a function that chooses procedures by their index.
func (m Mix) chooser(random *rand.Rand) func() int {
	if len(m) == 1 {
		return func() int { return 0 }
	}
	total := 0
	for _, share := range m {
		total += share.Weight
	}
	return func() int {
		left := random.IntN(total)
		for i, share := range m {
			if left -= share.Weight; left < 0 {
				return i
			}
		}
		return 0
	}
}

// Weighted is a name with its weight.
type Weighted struct {
	// Name is what was written before the equals sign.
	Name string
	// Weight is the number after it; 1 when there was none.
	Weight int
}

// ParseMix reads "keyvalue_basic.Get=90,keyvalue_basic.Set=10".
func ParseMix(text string) ([]Weighted, error) {
	var mix []Weighted
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		name, number, given := strings.Cut(part, "=")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		w := Weighted{Name: name, Weight: 1}
		if name == "" {
			return nil, fmt.Errorf("%q has a part without a name; a mix is NAME=WEIGHT,NAME=WEIGHT", text)
		}
		if given {
			weight, err := strconv.Atoi(number)
			if err != nil || weight < 1 || weight > maxWeight {
				return nil, fmt.Errorf("the weight of %s must be a number from 1 to %d, is %q", name, maxWeight, number)
			}
			w.Weight = weight
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is in the mix twice", name)
		}
		seen[name] = true
		mix = append(mix, w)
	}
	return mix, nil
}
