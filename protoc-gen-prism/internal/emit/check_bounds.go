package emit

import (
	"strconv"
	"time"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// bounds writes the check of a lower and an upper bound: nothing when every value of the type is within.
func bounds(v value, b model.Bounds, requirement string) []jen.Code {
	if v.typ == model.TypeMessage {
		return timeBounds(v, b, requirement)
	}
	var conditions []jen.Code
	if b.Low != nil && (b.Low != uint64(0) || b.LowOpen) {
		conditions = append(conditions, below(v, b.Low, b.LowOpen))
	}
	if b.High != nil {
		conditions = append(conditions, above(v, b.High, b.HighOpen))
	}
	if len(conditions) == 0 {
		return nil
	}
	return []jen.Code{fail(join("||", conditions), scalar(v, requirement))}
}

// below is the condition that a number breaks its lower bound. NaN breaks any bound, and compares with nothing.
func below(v value, bound any, open bool) jen.Code {
	valid, broken := ">=", "<"
	if open {
		valid, broken = ">", "<="
	}
	return outside(v, bound, valid, broken)
}

// above is the condition that a number breaks its upper bound.
func above(v value, bound any, open bool) jen.Code {
	valid, broken := "<=", ">"
	if open {
		valid, broken = "<", ">="
	}
	return outside(v, bound, valid, broken)
}

func outside(v value, bound any, valid, broken string) jen.Code {
	if v.typ == model.TypeFloat || v.typ == model.TypeDouble {
		return jen.Op("!").Parens(jen.Add(v.expr()).Op(valid).Add(constant(bound)))
	}
	return jen.Add(v.expr()).Op(broken).Add(constant(bound))
}

// timeBounds bounds a Duration or a Timestamp.
func timeBounds(v value, b model.Bounds, requirement string) []jen.Code {
	convert := "AsDuration"
	if _, ok := firstOf(b.Low, b.High).(time.Time); ok {
		convert = "AsTime"
	}
	d := v
	d.typ = 0
	d.expr = func() *jen.Statement { return jen.Id("d") }
	var conditions []jen.Code
	if b.Low != nil {
		conditions = append(conditions, timeCondition(b.Low, "<", "Before", b.LowOpen))
	}
	if b.High != nil {
		conditions = append(conditions, timeCondition(b.High, ">", "After", b.HighOpen))
	}
	return []jen.Code{jen.If(jen.Id("d").Op(":=").Add(v.expr()).Dot(convert).Call(), join("||", conditions)).Block(jen.Return(scalar(d, requirement)))}
}

// timeCondition is the condition that d is beyond a bound, or at it when the bound is open.
func timeCondition(bound any, operator, method string, open bool) jen.Code {
	if instant, ok := bound.(time.Time); ok {
		unix := jen.Qual("time", "Unix").Call(jen.Lit(int(instant.Unix())), jen.Lit(instant.Nanosecond()))
		if open {
			opposite := map[string]string{"Before": "After", "After": "Before"}[method]
			return jen.Op("!").Id("d").Dot(opposite).Call(unix)
		}
		return jen.Id("d").Dot(method).Call(unix)
	}
	if open {
		operator += "="
	}
	return jen.Id("d").Op(operator).Add(durationLiteral(bound.(time.Duration)))
}

// durationLiteral is a duration in the largest unit that divides it.
func durationLiteral(d time.Duration) jen.Code {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "Hour"}, {time.Minute, "Minute"}, {time.Second, "Second"}, {time.Millisecond, "Millisecond"}, {time.Microsecond, "Microsecond"}} {
		if d != 0 && d%unit.size == 0 {
			if d == unit.size {
				return jen.Qual("time", unit.name)
			}
			return jen.Op(strconv.FormatInt(int64(d/unit.size), 10)).Op("*").Qual("time", unit.name)
		}
	}
	return jen.Op(strconv.FormatInt(int64(d), 10))
}

func firstOf(values ...any) any {
	for _, value := range values {
		if value != nil {
			return value
		}
	}
	return nil
}

// zero is the condition that a value without presence is not set, as protobuf sees it: a negative zero is set.
func zero(v value) *jen.Statement { return zeroCondition(v, "==", "!") }

// notZero is its contrary.
func notZero(v value) *jen.Statement { return zeroCondition(v, "!=", "") }

func zeroCondition(v value, compare, not string) *jen.Statement {
	switch v.typ {
	case model.TypeString:
		return v.expr().Op(compare).Lit("")
	case model.TypeBytes:
		return jen.Len(v.expr()).Op(compare).Lit(0)
	case model.TypeBool:
		return jen.Op(not).Add(v.expr())
	case model.TypeFloat, model.TypeDouble:
		if !v.element {
			return jen.Qual("math", "Float64bits").Call(jen.Float64().Call(v.expr())).Op(compare).Lit(0)
		}
		return v.expr().Op(compare).Lit(0)
	default:
		return v.expr().Op(compare).Lit(0)
	}
}
