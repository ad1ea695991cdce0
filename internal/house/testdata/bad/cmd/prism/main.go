// Command prism may make a context.
package main

import "context"

func main() { _ = context.Background() }
