package emit

import "github.com/dave/jennifer/jen"

// literal is a composite literal, or what stands in its braces, with each item on a line of its own.
func literal(items ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, items...)
}

// keyed is an item of a composite literal: name: value.
func keyed(name string, value jen.Code) *jen.Statement {
	return jen.Id(name).Op(":").Add(value)
}

// ifErr is a call with the return of its error: if err := call; err != nil { return results, err }.
func ifErr(call jen.Code, results ...jen.Code) *jen.Statement {
	return jen.If(jen.Err().Op(":=").Add(call), jen.Err().Op("!=").Nil()).Block(jen.Return(append(results, jen.Err())...))
}

// returning is a function's body that does nothing but return, on the line of the function.
func returning(result jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}"}, jen.Return(result))
}
