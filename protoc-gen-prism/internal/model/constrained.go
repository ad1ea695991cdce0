package model

// Constrained tells whether a message has constraints, itself or in the messages that its fields hold.
func (m *Message) Constrained() bool { return m.constrained(make(map[*Message]bool)) }

func (m *Message) constrained(seen map[*Message]bool) bool {
	if seen[m] {
		return false
	}
	seen[m] = true
	for _, oneof := range m.Oneofs {
		if oneof.Required {
			return true
		}
	}
	for _, field := range m.Fields {
		if field.Constrained() || field.Message != nil && field.Message.constrained(seen) {
			return true
		}
	}
	return false
}

// Constrained tells whether a field itself has constraints.
func (f *Field) Constrained() bool {
	return len(f.Rules)+len(f.Items)+len(f.Keys) > 0 || f.MaxTotalBytes > 0
}
