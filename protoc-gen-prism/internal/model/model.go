// Package model is the schema as plain structs: what the emitters need, with every rule already checked.
//
// [Load] turns descriptors and their custom options into a [Schema] or into a list of mistakes, each with file, line and remedy. Emitters read nothing but
// these structs, so they neither know protobuf reflection nor meet a schema that is wrong.
package model

// Params are the plugin's parameters.
type Params struct {
	// Module is cut off import paths to make output paths; empty keeps them whole.
	Module string
	// Root is the import path under which the packages prism, registry, wiring, suites and sdk are generated.
	Root string
	// Backends, Patterns and Conformance are the import paths under which hand-written leaves lie.
	Backends, Patterns, Conformance string
	// Docs is the folder, relative to the output, for interfaces.md, backends.md and patterns.md; empty writes none.
	Docs string
}

// Schema is everything that one run of the plugin sees.
type Schema struct {
	// Params are the plugin's parameters.
	Params Params
	// Files are the files to generate code for, sorted by path.
	Files []*File
	// Interfaces are all interfaces in sight, imported ones too, sorted by catalog name.
	Interfaces []*Interface
	// DataModels group Interfaces, sorted by name.
	DataModels []*DataModel
	// Backends and Patterns are those declared in Files, sorted by name.
	Backends []*Backend
	Patterns []*Pattern
}

// File is one proto file to generate code for.
type File struct {
	// Path is the proto path without ".proto": "prism/keyvalue/v1/keyvalue_scan".
	Path string
	// Package is where its messages live in Go.
	Package GoPackage
	// Interfaces are the Prism interfaces that it declares, Services the foreign ones, in the order of the file.
	Interfaces []*Interface
	Services   []*Service
	// Messages are all its messages, nested ones too, in the order of the file.
	Messages []*Message
	// OwnChecks tells that the checks of its messages are generated in Package, one for each message that has constraints: it declares no service, and no file
	// of its package an interface. It is configuration, and what configuration holds.
	OwnChecks bool
}

// GoPackage is a Go package.
type GoPackage struct {
	// Path is the import path, Name the package name.
	Path, Name string
}

// GoName is a name in a Go package.
type GoName struct {
	// Path is the import path, Name the identifier.
	Path, Name string
}

// Service is a service's RPCs. An Interface has one; a service that is foreign to Prism is one.
type Service struct {
	// Name is the short name, FullName the proto name.
	Name, FullName string
	// GoName begins the names of what is generated of it in RPCPackage. It is exported, whatever Name is; an interface's is GoFlavour.
	GoName string
	// Doc is the comment.
	Doc string
	// Package is where the file's messages live; the rpc package is derived from it, see RPCPackage.
	Package GoPackage
	// RPCPackage is where table and client are generated.
	RPCPackage GoPackage
	// Methods are in the order of the file.
	Methods []*Method
	// Offered tells that a pattern offers the service, so that it has a guard. No interface is.
	Offered bool
}

// Interface is one flavour of a data model.
type Interface struct {
	Service
	// CatalogName is "keyvalue_consumer_groups", ModelName "KeyValue", Flavour "consumer_groups", GoFlavour "ConsumerGroups" (the service's name without model
	// and suffix, so that initialisms stay: "TTL").
	CatalogName, ModelName, Flavour, GoFlavour string
	// Requires are the interfaces that must be offered along with this one.
	Requires []*Interface
	// Kind is KindCore, KindExtension or KindSlot.
	Kind Kind
	// Alternatives allows UNIMPLEMENTED for some of its methods.
	Alternatives bool
	// Generate tells that it is declared in a file to generate code for.
	Generate bool
	// Hash is the SHA-256 of what it is on the wire, in hex.
	Hash string
}

// Contract is the name of the Go contract: keyvaluev1.Scan.
func (i *Interface) Contract() GoName { return GoName{i.Package.Path, i.GoFlavour} }

// Field is the name of the interface's field in prism.Interfaces: "KeyValueScan".
func (i *Interface) Field() string { return i.ModelName + i.GoFlavour }

// Kind tells where an interface belongs.
type Kind int

// The kinds of interfaces.
const (
	KindCore Kind = iota + 1
	KindExtension
	KindSlot
)

// DataModel is the interfaces of one data model, sorted by catalog name.
type DataModel struct {
	// Name is "KeyValue", Lower "keyvalue".
	Name, Lower string
	// Interfaces are its flavours.
	Interfaces []*Interface
}

// Method is one RPC.
type Method struct {
	// Name is the proto name, GoName the Go name.
	Name, GoName string
	// Doc is the contract.
	Doc string
	// Procedure is "/package.Service/Name".
	Procedure string
	// Request and Response are the messages.
	Request, Response *Message
	// ClientStream and ServerStream tell the shape.
	ClientStream, ServerStream bool
	// Idempotency is the name of the rpc.Idempotency constant: "IdempotencyUnknown", "NoSideEffects", "Idempotent".
	Idempotency string
	// Blocking and Destructive are the options of those names.
	Blocking, Destructive bool
	// Args are the fields that SDKs take by position.
	Args []*Field
	// MaxMessageBytes is the option of that name; 0 when it is not set.
	MaxMessageBytes int
}

// Message is one message, of any file in sight.
type Message struct {
	// Name is the proto name within its package, FullName the whole.
	Name, FullName string
	// Go is the Go type.
	Go GoName
	// Doc is the comment.
	Doc string
	// Fields are in the order of the file; members of a oneof are among them.
	Fields []*Field
	// Oneofs are the real ones, not those of optional fields.
	Oneofs []*Oneof
	// Check is the generated function that checks it; meant when [Message.Constrained].
	Check GoName
}

// Oneof is a oneof of a message.
type Oneof struct {
	// Name is the proto name, GoName the Go field.
	Name, GoName string
	// Required is buf.validate's rule of that name.
	Required bool
}

// Type is the kind of a field's values.
type Type int

// The types of values.
const (
	TypeBool Type = iota + 1
	TypeInt32
	TypeInt64
	TypeUint32
	TypeUint64
	TypeFloat
	TypeDouble
	TypeString
	TypeBytes
	TypeEnum
	TypeMessage
)

// Field is one field of a message.
type Field struct {
	// Name is the proto name, GoName the Go field's; the getter is "Get"+GoName.
	Name, GoName string
	// Doc is the comment.
	Doc string
	// Type is the type of the value, of each element of a repeated field, or of each value of a map.
	Type Type
	// Message and Enum are set by Type.
	Message *Message
	Enum    *Enum
	// Repeated and Map exclude each other; MapKey is the type of a map's keys.
	Repeated, Map bool
	MapKey        Type
	// Optional tells that a scalar has presence: its Go type is a pointer (but for bytes).
	Optional bool
	// Oneof is the oneof that the field is a member of, OneofWrapper the Go type that wraps it.
	Oneof        *Oneof
	OneofWrapper GoName
	// Role is the role's name in camel case ("PartitionKey"); empty when it has none.
	Role string
	// MaxTotalBytes is the option of that name; 0 when it is not set.
	MaxTotalBytes int
	// Rules are the constraints on the field as a whole; Items those on each element or map value; Keys those on each map key.
	Rules, Items, Keys []Rule
}

// Enum is one enum, of any file in sight.
type Enum struct {
	// Name is the proto name within its package, FullName the whole.
	Name, FullName string
	// Go is the Go type.
	Go GoName
	// Doc is the comment.
	Doc string
	// Values are those that it declares, in the order of the file.
	Values []DeclaredValue
}

// DeclaredValue is a value as an enum declares it.
type DeclaredValue struct {
	// Name is the proto name, Doc the comment.
	Name, Doc string
}

// Backend is a declared backend.
type Backend struct {
	// Name is the catalog name.
	Name string
	// Config is the configuration message; its Go name is the backend's name in Go.
	Config *Message
	// Package is where Config lives.
	Package GoPackage
	// Implements is sorted by catalog name.
	Implements []*Interface
	// Implementability is the declared score.
	Implementability int
}

// Pattern is a declared pattern.
type Pattern struct {
	// Name is the catalog name, Version the version of what it does.
	Name, Version string
	// Config is the configuration message; its Go name is the pattern's name in Go.
	Config *Message
	// Package is where Config lives.
	Package GoPackage
	// Slots are in the order of the file.
	Slots []*Slot
	// Offers is sorted by catalog name; OffersSlot names a slot or is empty.
	Offers     []*Interface
	OffersSlot string
	// Services are in the order of the file.
	Services []*Service
	// RPCPackage is where what the pattern offers is generated: beside the handlers of a service of its file, since its own package must not import them.
	RPCPackage GoPackage
}

// Slot is a declared slot.
type Slot struct {
	// Field is the field that declares it: its name is the slot's, its comment the description.
	Field *Field
	// Required, Optional and AnyOf are in the order of the file.
	Required, Optional, AnyOf []*Interface
	// Recommended names backends.
	Recommended []string
	// MayBeEmpty tells that the pattern works without the slot.
	MayBeEmpty bool
	// OptionalWhileEmpty names another slot: only while it is empty are the optional interfaces used.
	OptionalWhileEmpty string
}
