// Package extend proves what the project promises to those who extend it: an interface is one proto and one suite, a backend is one schema file and one folder, and
// both work from another module. Its tests make a scratch copy of the repository, add just that, and call the result through a gateway.
package extend
