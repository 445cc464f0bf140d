package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/gate"
)

func (r *reader) listen(n *yaml.Node) gate.Listen {
	f := r.section(n, partListen)
	l := gate.Listen{
		Address:     r.address(f["address"], "listen.address"),
		Metrics:     r.address(f["metrics"], "listen.metrics"),
		Certificate: r.text(f["certificate"], "listen.certificate"),
		Key:         r.text(f["key"], "listen.key"),
		ClientCA:    r.text(f["clientCA"], "listen.clientCA"),
		ClientNames: r.texts(f["clientNames"], "listen.clientNames", certificateName),
		Drain:       r.duration(f["drain"], "listen.drain", drainSpan),
	}
	tls := f["certificate"] != nil && f["key"] != nil
	switch {
	case (f["certificate"] != nil) != (f["key"] != nil):
		r.Wrong(n, "listen has one of certificate and key; it takes both, or neither")
	case !tls && l.Address != "" && !loopback(l.Address):
		r.Wrong(f["address"], "%s is not loopback, and without a certificate the gate speaks plain HTTP: whoever is on the way could answer", l.Address)
	}
	if f["clientCA"] != nil && !tls {
		r.Wrong(f["clientCA"], "clients show certificates only to a server that has one: name certificate and key")
	}
	if f["clientNames"] != nil && f["clientCA"] == nil {
		r.Wrong(f["clientNames"], "clientNames are in certificates that clientCA vouches for; name it")
	}
	switch {
	case l.Address == "" || l.Metrics == "":
	case overlap(l.Address, l.Metrics):
		r.Wrong(f["metrics"], "metrics have a listener of their own, and %s is the gate's", l.Metrics)
	case !loopback(l.Metrics):
		r.warn(f["metrics"], "metrics on %s are plain HTTP for whoever reaches it: they name policies, rules and registries", l.Metrics)
	}
	return l
}

// address reads HOST:PORT, in which HOST may be empty for all interfaces.
func (r *reader) address(n *yaml.Node, what string) string {
	s := r.text(n, what)
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	p, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || strconv.FormatUint(p, 10) != port || strings.ContainsAny(host, " /@") {
		r.Wrong(n, "%s: %q is not HOST:PORT", what, s)
		return ""
	}
	return s
}

// loopback reports whether only this machine can reach an address. A name other than
// localhost could lead anywhere.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// overlap reports whether two addresses cannot both be listened on. Port 0 is another
// one each time.
func overlap(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	return portA == portB && portA != "0" && (everywhere(hostA) || everywhere(hostB) || hostA == hostB)
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func (r *reader) limits(n *yaml.Node) gate.Limits {
	f := r.section(n, partLimits)
	l := gate.Limits{
		Deadline:    r.duration(f["deadline"], "limits.deadline", deadlineSpan),
		Body:        r.number(f["body"], "limits.body", bodyBound),
		Concurrent:  int(r.number(f["concurrent"], "limits.concurrent", concurrentBound)),
		Waiting:     int(r.number(f["waiting"], "limits.waiting", waitingBound)),
		References:  int(r.number(f["references"], "limits.references", referencesBound)),
		Connections: int(r.number(f["connections"], "limits.connections", connectionBound)),
	}
	l.PerTenant = int(r.number(f["perTenant"], "limits.perTenant", perTenantBound(int64(l.Waiting))))
	if f["perTenant"] != nil && l.PerTenant == l.Waiting {
		r.warn(f["perTenant"], "perTenant is all that may wait: one namespace could take all of it")
	}
	return l
}

func (r *reader) registry(n *yaml.Node) gate.Registry {
	f := r.section(n, partRegistry)
	return gate.Registry{
		Repositories: r.repositories(f["repositories"], "registry.repositories"),
		Jobs:         int(r.number(f["jobs"], "registry.jobs", jobsBound)),
	}
}

// repositories reads patterns of repositories.
func (r *reader) repositories(n *yaml.Node, what string) []string {
	return r.list(n, what, func(n *yaml.Node, what string) string {
		s := r.text(n, what)
		if s == "" {
			return ""
		}
		if err := gate.CheckPattern(s); err != nil {
			r.Wrong(n, "%s: %q is no pattern: HOST/REPOSITORY, HOST/PATH/* (one level), HOST/PATH/** (all below) or ocidir://FOLDER", what, s)
			return ""
		}
		return s
	})
}

func (r *reader) policies(n *yaml.Node) []gate.PolicySource {
	var out []gate.PolicySource
	for _, item := range r.Items(n, "policies", maxList) {
		f := r.section(item, partPolicy)
		p := gate.PolicySource{
			Name:       r.Name(f["name"], "name"),
			Policy:     r.text(f["policy"], "policy"),
			Roots:      r.text(f["roots"], "roots"),
			Trust:      r.text(f["trust"], "trust"),
			TrustCache: r.text(f["trustCache"], "trustCache"),
			Refresh:    r.duration(f["refresh"], "refresh", refreshSpan),
		}
		p.Evidence = r.list(f["evidence"], "evidence", func(n *yaml.Node, what string) string {
			s := r.text(n, what)
			if _, err := attest.ParseRepository(s); s != "" && err != nil {
				r.Wrong(n, "%s: %q is no repository: HOST/REPOSITORY or ocidir://FOLDER", what, s)
				return ""
			}
			return s
		})
		if p.TrustCache != "" && p.Trust == "" {
			r.Wrong(f["trustCache"], "trustCache keeps what a trust file fetches, and none is named: trust")
		}
		for _, other := range out {
			if p.Name != "" && other.Name == p.Name {
				r.Wrong(f["name"], "two policies are called %q", p.Name)
			}
		}
		out = append(out, p)
	}
	return out
}

func (r *reader) cache(n *yaml.Node) gate.Cache {
	f := r.section(n, partCache)
	c := gate.Cache{
		Allow:   r.duration(f["allow"], "cache.allow", allowSpan),
		Deny:    r.duration(f["deny"], "cache.deny", denySpan),
		Entries: int(r.number(f["entries"], "cache.entries", entriesBound)),
		Bytes:   r.number(f["bytes"], "cache.bytes", bytesBound),
	}
	if c.Allow > allowSpan.def {
		r.warn(f["allow"], "an ALLOW is remembered for up to %s: what is revoked meanwhile is let in for as long", short(c.Allow))
	}
	return c
}

func (r *reader) records(n *yaml.Node) *gate.Records {
	if n == nil {
		return nil
	}
	f := r.section(n, partRecords)
	c := &gate.Records{
		Queue: r.text(f["queue"], "records.queue"),
		Limit: int(r.number(f["limit"], "records.limit", recordsBound)),
		Full:  r.word(f["full"], "records.full", fullWords()),
	}
	s := r.section(f["signing"], partSigning)
	for _, key := range keysOf(partSigning) {
		if v := r.text(s[key], "signing."+key); v != "" {
			if c.Signing == nil {
				c.Signing = map[string]string{}
			}
			c.Signing[key] = v
		}
	}
	return c
}
