// Package serve answers the gate's questions over HTTP.
//
// It carries questions to a [gate.Judge] and to an [Admitter], and their answers back. It
// decides nothing: its own part is that an answer always comes, in time, to whoever may
// ask, and that everything that goes wrong on the way is a refusal. A body that was not
// read to the end that its sender announced is never looked at, a judge that panics or
// does not come back refuses, and so do overload, a gate that has not loaded its policies
// yet, and bytes that two readers of HTTP could read in two ways.
//
// # Who asks
//
// The service is TLS 1.3: everybody who may ask speaks it (the API server is a Go program
// of the same age as this one), client certificates are not sent in the clear, and nothing
// about it can be negotiated down. Without a certificate the gate speaks plain HTTP and
// listens on loopback alone. With a client CA the handshake ends for whoever has no
// certificate of it. A client's names are its URI and DNS names; its common name counts
// only if it has no other, because the certificates with which API servers authenticate
// to webhooks have nothing else. Names are compared exactly. Sessions are not resumed, so
// that a client CA that was replaced holds for every new connection; for older ones the
// certificate is looked at again.
//
// GET /healthz and /readyz are on both listeners, /metrics is on the second alone: the
// kubelet's probes have no client certificate, and what is scraped is not for clients.
//
// # What bounds it
//
// Connections are bounded; when all are taken, the one that waits longest without having
// asked anything makes room, then the one that has been idle longest. Bodies have a length,
// are bounded one by one and, as long as their sender is not known, together. Then each
// question belongs to a tenant (the namespace of a review, else the client) and waits in
// a fair queue for one of few slots: see queue. A question has one deadline, from the
// moment in which its first byte was read.
//
// What the gate counts is listed in docs/gate-metrics.md.
package serve
