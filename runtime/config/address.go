package config

// Where a gateway listens when nothing else is said.
const (
	// DefaultListen serves clients.
	DefaultListen = "127.0.0.1:8980"
	// DefaultAdmin serves operators.
	DefaultAdmin = "127.0.0.1:8981"
)
