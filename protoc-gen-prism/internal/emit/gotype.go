package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// goType is the Go type of a field's value, without the pointer that tells whether an optional one is there.
func goType(field *model.Field) *jen.Statement {
	switch {
	case field.Map:
		return jen.Map(goScalarType(field.MapKey)).Add(goValueType(field))
	case field.Repeated:
		return jen.Index().Add(goValueType(field))
	}
	return goValueType(field)
}

// goValueType is the Go type of a field's values: of each element or map value where there are many.
func goValueType(field *model.Field) *jen.Statement {
	switch field.Type {
	case model.TypeEnum:
		return ident(field.Enum.Go)
	case model.TypeMessage:
		return pointer(field.Message)
	default:
		return goScalarType(field.Type)
	}
}

func goScalarType(t model.Type) *jen.Statement {
	switch t {
	case model.TypeBool:
		return jen.Bool()
	case model.TypeInt32:
		return jen.Int32()
	case model.TypeInt64:
		return jen.Int64()
	case model.TypeUint32:
		return jen.Uint32()
	case model.TypeUint64:
		return jen.Uint64()
	case model.TypeFloat:
		return jen.Float32()
	case model.TypeDouble:
		return jen.Float64()
	case model.TypeBytes:
		return jen.Index().Byte()
	default:
		return jen.String()
	}
}
