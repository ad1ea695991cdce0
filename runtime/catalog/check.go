package catalog

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// CheckOf makes the generated check of a configuration message one of any message, for [Backend] and [Pattern]. A message of another type is an error.
func CheckOf[M proto.Message](check func(M) error) func(proto.Message) error {
	return func(m proto.Message) error {
		config, ok := m.(M)
		if !ok {
			var wanted M
			return fmt.Errorf("catalog: the configuration is a %T and must be a %T; make it by NewConfig", m, wanted)
		}
		return check(config)
	}
}
