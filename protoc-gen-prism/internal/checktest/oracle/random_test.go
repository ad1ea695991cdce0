package oracle_test

import (
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The values that are tried: those at the bounds that schemas have, those beyond, and those that are peculiar.
var (
	integers = []int64{-3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9, 59, 60, 100, 3600, 3601, 1000000, 1000001, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
	floats   = []float64{
		0, math.Copysign(0, -1), 0.1, 0.5, -1, 1, 1.5, 2, 1.25, -2, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
	letters = []string{"a", "b", "c", "A", "z", ".", "_", "-", "0", "é", "\x00", " ", "\n", "€", "B"}
	words   = []string{"", "ab", "abc", "bc", "ac", "abbc", "a", "b", "aB"}
	sizes   = []int{64, 128, 129, 200, 201, 512, 513, 1023, 1024, 1025, 4096, 4097}
	nanos   = []int64{0, 0, 1, 5, 999999, 1000000, 999999999, -1, 6}
)

// generator makes random values.
type generator struct{ *rand.Rand }

func pick[T any](g generator, values []T) T { return values[g.IntN(len(values))] }

// set gives a field a random value, or takes it away.
func (g generator) set(message protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	message.Clear(field)
	switch {
	case field.HasPresence() && g.IntN(6) == 0:
	case field.IsList():
		list := message.Mutable(field).List()
		for range g.count() {
			list.Append(g.value(list.NewElement, field, depth))
		}
	case field.IsMap():
		entries := message.Mutable(field).Map()
		for range g.count() {
			entries.Set(g.value(nil, field.MapKey(), depth).MapKey(), g.value(entries.NewValue, field.MapValue(), depth))
		}
	default:
		message.Set(field, g.value(func() protoreflect.Value { return message.NewField(field) }, field, depth))
	}
}

func (g generator) count() int {
	if g.IntN(20) == 0 {
		return 15 + g.IntN(6)
	}
	return g.IntN(4)
}

// value makes a value of a field's type; empty makes an empty message.
func (g generator) value(empty func() protoreflect.Value, field protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	integer := pick(g, integers)
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(g.IntN(11) - 1))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(integer))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(integer)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(integer))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(integer))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(pick(g, floats)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(pick(g, floats))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(g.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(g.text()))
	default:
		value := empty()
		g.fill(value.Message(), depth+1)
		return value
	}
}

// fill gives a message's fields random values. Deep messages stay empty.
func (g generator) fill(message protoreflect.Message, depth int) {
	fields := message.Descriptor().Fields()
	switch message.Descriptor().FullName() {
	case "google.protobuf.Duration", "google.protobuf.Timestamp":
		message.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(pick(g, integers)%400000000000))
		message.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(pick(g, nanos))))
		return
	}
	if depth > 3 {
		return
	}
	for i := range fields.Len() {
		if g.IntN(2) == 0 {
			g.set(message, fields.Get(i), depth)
		}
	}
}

func (g generator) text() string {
	switch g.IntN(8) {
	case 0:
		return strings.Repeat(pick(g, letters), pick(g, sizes))
	case 1, 2:
		return pick(g, words)
	}
	var b strings.Builder
	alphabet := letters
	if g.IntN(2) == 0 {
		alphabet = letters[:3]
	}
	for range g.IntN(6) {
		b.WriteString(pick(g, alphabet))
	}
	return b.String()
}
