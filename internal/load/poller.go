package load

// event is what can be done with a descriptor now.
type event struct {
	fd                 int
	readable, writable bool
}
