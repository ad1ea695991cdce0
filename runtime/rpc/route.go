package rpc

// Route says who serves the calls of a method. Every transport is given the same routes.
type Route struct {
	// Method is what is called.
	Method *Method
	// Serve serves each call.
	Serve ServeFunc
}
