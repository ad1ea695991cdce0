package config

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The messages that are not written as a mapping of their fields.
const (
	durationName = "google.protobuf.Duration"
	structName   = "google.protobuf.Struct"
	secretName   = "prism.config.v1.Secret"
)

// The tags that YAML gives to values.
const (
	boolTag  = "!!bool"
	floatTag = "!!float"
	intTag   = "!!int"
	mergeTag = "!!merge"
	nullTag  = "!!null"
	strTag   = "!!str"
)

// The forms of values, which the JSON Schema demands too.
const (
	durationForm = `^([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+$`
	integerForm  = `^-?(0|[1-9][0-9]*)(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`
	numberForm   = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`
)

var (
	durationPattern = regexp.MustCompile(durationForm)
	integerPattern  = regexp.MustCompile(integerForm)
	numberPattern   = regexp.MustCompile(numberForm)
)

// scalar takes what must be a single value.
func (w *walker) scalar(n *yaml.Node, path string, field protoreflect.FieldDescriptor) {
	switch field.Kind() {
	case protoreflect.StringKind:
		w.text(n, path)
	case protoreflect.BoolKind:
		w.demand(n, path, n.Tag == boolTag && (n.Value == "true" || n.Value == "false"), "true or false")
	case protoreflect.EnumKind:
		w.demand(n, path, field.Enum().Values().ByName(protoreflect.Name(n.Value)) != nil, "one of "+valueNames(field.Enum()))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		w.integer(n, path, math.MinInt32, math.MaxInt32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		w.integer(n, path, math.MinInt64, math.MaxInt64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		w.integer(n, path, 0, math.MaxUint32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.integer(n, path, 0, math.MaxUint64)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		_, err := strconv.ParseFloat(n.Value, 64)
		w.demand(n, path, (n.Tag == intTag || n.Tag == floatTag) && numberPattern.MatchString(n.Value) && err == nil, "a number such as 0.5")
	default:
		w.text(n, path) // Bytes are text in base64, which the decoder knows.
	}
}

// demand notes a node that is not as it must be. It tells what the node is, which no secret is where one of a few words or a number must be.
func (w *walker) demand(n *yaml.Node, path string, met bool, wanted string) {
	switch {
	case n.Kind != yaml.ScalarNode:
		w.add(n, path, "must be %s, is %s", wanted, describe(n))
	case met:
	case n.Tag == strTag:
		w.add(n, path, "must be %s, is %s", wanted, quote(n.Value))
	default:
		w.add(n, path, "must be %s, is %s", wanted, n.Value[:min(len(n.Value), mostQuoted)])
	}
}

// text takes what must be text. What YAML takes for something else is none until it is quoted: 1.20 is a number, and the same as 1.2.
func (w *walker) text(n *yaml.Node, path string) {
	switch {
	case n.Kind != yaml.ScalarNode:
		w.add(n, path, "must be text, is %s", describe(n))
	case n.Tag != strTag:
		w.add(n, path, "must be text, is %s; put it into quotes", describe(n))
	}
}

// duration takes what must be a duration. The bounds of the field say that it must not be negative, and what it may be.
func (w *walker) duration(n *yaml.Node, path string) {
	met := durationPattern.MatchString(strings.TrimPrefix(n.Value, "-"))
	if met {
		_, err := protoyaml.ParseDuration(n.Value)
		met = err == nil
	}
	w.demand(n, path, met, "a duration such as 30s or 1h30m")
}

// integer takes what must be a whole number.
func (w *walker) integer(n *yaml.Node, path string, least int64, most uint64) {
	if n.Kind != yaml.ScalarNode || !integerPattern.MatchString(n.Value) {
		w.demand(n, path, false, "a whole number such as 250 or 16Ki")
		return
	}
	low, high, value := big.NewInt(least), new(big.Int).SetUint64(most), integerValue(n.Value)
	w.demand(n, path, value.Cmp(low) >= 0 && value.Cmp(high) <= 0, fmt.Sprintf("a whole number from %s to %s", low, high))
}

// integerValue is the number that a text of integerForm stands for: k, M and so on are powers of 1,000, and Ki, Mi and so on of 1,024.
func integerValue(text string) *big.Int {
	digits := strings.TrimRight(text, "kMGTPEKi")
	value, _ := new(big.Int).SetString(digits, 10)
	base, unit := int64(1000), text[len(digits):]
	if strings.HasSuffix(unit, "i") {
		base = 1024
	}
	power := 0
	if unit != "" {
		power = 1 + strings.IndexByte("KMGTPE", strings.ToUpper(unit)[0])
	}
	return value.Mul(value, new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(power)), nil))
}

// valueNames are the words of an enum.
func valueNames(enum protoreflect.EnumDescriptor) string {
	var names []string
	for i := range enum.Values().Len() {
		names = append(names, string(enum.Values().Get(i).Name()))
	}
	return strings.Join(names, ", ")
}

// describe says what a node is, without what it holds.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case n.Tag == intTag || n.Tag == floatTag:
		return "a number"
	case n.Tag == boolTag:
		return "true or false"
	case n.Tag == nullTag:
		return "nothing"
	case n.Tag == strTag:
		return "text"
	}
	return "a date" // The only other that YAML sees without a tag.
}
