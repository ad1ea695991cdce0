// Package provider carries a backend's calls to another process and back: the protocol of schema/prism/provider/v1/provider.proto, both sides of it.
//
// # The gateway's side
//
// [Open] initializes an instance at a provider and is then a [backend.Instance] like any other. Its namespaces offer what the provider offers: as handlers, which pass
// requests and responses on undecoded where the transport allows it, and as clients, for the slots of patterns. All unary calls of an instance share one ExecuteStream.
// What is ready goes into one frame: a lone caller waits for nobody, and many callers pay for a frame together. A large message lets small ones pass. Each server stream has
// an ExecuteStream of its own, whose responses are bounded by credit, so that a slow reader holds up nobody else. A provider that answers ExecuteStream with UNIMPLEMENTED
// is called by Execute.
//
// # When the provider is gone
//
// A stream that breaks, and a provider that sends nothing for a second though it is pinged, end the attachment: calls under way are UNAVAILABLE, and so are new ones, at once,
// until the gateway has attached again, which it tries by itself at once, after 50 ms and then less and less often, every 2 s at least. It calls Initialize anew: a provider that has
// lived on gives it the same instance, one that was started anew opens it. [backend.Status] tells of it, and of what HealthCheck says. Only a call that the provider says
// it has not begun is made again; any other may have been done.
//
// # The provider's side
//
// [NewServer] makes a provider of backends, [Server.Listener] serves it. A namespace is opened by the first call that names it. Calls run on workers that are reused, each on
// its own, so that a slow one holds up nobody. An instance lives until a gateway calls Shutdown, or [Server.Close]: [Instance.Close] leaves it open, since another gateway may
// use it, or the same one after a restart.
//
// # Limits
//
// A gateway may have 10,000 unary calls and 50,000 streams under way at an instance, and 256 MiB of requests that are not served yet. Frames have at most 64 KiB. A peer that
// does not keep to the protocol learns how in the error that ends its stream; nothing else of the process is touched.
package provider
