// Package differential sends the same calls to two servers of the same routes, the gateway's own front and the standard one (net/http and connect-go), and compares
// everything that a peer and a handler can see of them.
//
// All of it is in tests. A call is written as frames, so that what no stock client would send is sent too: wrong prefixes, broken deadlines, resets in the
// middle of a message. There is a table of systematic calls, and a generator of random ones. What differs is a failure, or an entry of the list in
// differences_test.go with the sentence why it may. For gRPC there is a referee: grpc-go's own server, with the same routes; an entry may say that the front does as the
// referee does, and that is checked as well. Mutants, servers with one thing wrong, prove that the comparison finds what it is made to find.
package differential
