package serve

import (
	"net"
	"net/http"
	"time"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

const (
	// maxQuestion bounds the body of /v1/verify: a reference has at most 4,096
	// characters, and a character at most six bytes in JSON.
	maxQuestion = 32 << 10
	// maxScrapers bounds connections to the metrics: Prometheus in two copies, the
	// kubelet's probes, a person.
	maxScrapers = 32
)

// withDefaults fills in what a configuration left out.
func withDefaults(l gate.Limits) gate.Limits {
	fill := func(p *int, n int) {
		if *p <= 0 {
			*p = n
		}
	}
	if l.Deadline <= 0 {
		l.Deadline = 9 * time.Second
	}
	if l.Body <= 0 {
		l.Body = 7 << 20
	}
	fill(&l.Concurrent, 64)
	// 500 pods of one namespace that start at once are no attack.
	fill(&l.Waiting, 2048)
	fill(&l.PerTenant, max(l.Waiting/4, 1))
	fill(&l.Connections, 1024)
	return l
}

// queueBounds are the bounds of the queue under l. A tenant may have three of four slots,
// and one of the largest bodies or more than a thousand of the usual size.
func queueBounds(l gate.Limits) queueLimits {
	return queueLimits{
		slots: l.Concurrent, share: l.Concurrent - l.Concurrent/4, waiting: l.Waiting, tenant: l.PerTenant,
		bytes: 4 * l.Body, sharing: l.Body,
	}
}

// readingBytes bounds the bodies that are being read: four of the largest, or thousands
// of the usual size. One client may have half.
func readingBytes(l gate.Limits) int64 { return 4 * l.Body }

// checkListen refuses addresses that cannot be meant.
func checkListen(l gate.Listen) error {
	refuse := func(about, why, next string) error {
		return &attest.Refusal{Code: attest.CodeUsage, About: about, Why: why, Next: next}
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return refuse(l.Address, "no address to listen on", "write HOST:PORT")
	}
	if (l.Certificate == "") != (l.Key == "") {
		return refuse("listen", "a certificate and its key go together", "name both, or neither")
	}
	if l.ClientCA != "" && l.Certificate == "" {
		return refuse("listen.clientCA", "clients show certificates in TLS alone", "name listen.certificate and listen.key")
	}
	if len(l.ClientNames) > 0 && l.ClientCA == "" {
		return refuse("listen.clientNames", "nobody vouches for the names", "name listen.clientCA")
	}
	if l.Metrics == "" {
		return nil
	}
	mhost, mport, err := net.SplitHostPort(l.Metrics)
	if err != nil {
		return refuse(l.Metrics, "no address to listen on", "write HOST:PORT")
	}
	if mport == port && port != "0" && (mhost == host || anyHost(mhost) || anyHost(host)) {
		return refuse(l.Metrics, "metrics have a port of their own", "write another port")
	}
	return nil
}

func anyHost(h string) bool {
	ip := net.ParseIP(h)
	return h == "" || ip != nil && ip.IsUnspecified()
}

// visitKey is the key under which a request's context holds its *visit.
type visitKey struct{}

// clientOf names who asks: the name in the client's certificate, or its address. Of an
// IPv6 address only the network counts: one machine has all addresses of it.
func clientOf(r *http.Request) string {
	if v, _ := r.Context().Value(visitKey{}).(*visit); v != nil && v.name != "" {
		return v.name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}
