package trust

import (
	"crypto/x509"
	"errors"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictyaml"
)

// The keys of a trust file. docs/format/trust.md lists them, and a test holds the
// page against these.
var (
	trustKeys     = []string{"apiVersion", "kind", "metadata", "sigstore", "timestampAuthorities", "timestamps", "spiffe", "keys", "tuf"}
	metadataKeys  = []string{"name", "version", "description", "expires"}
	instanceKeys  = []string{"name", "trustedRoot", "tuf", "logs", "noLogs", "timestamps", "certificateLogs", "noCertificateLogs", "timestampAuthorities"}
	authorityKeys = []string{"name", "chain", "from", "until"}
	domainKeys    = []string{"domain", "bundle", "from", "until"}
	windowKeys    = []string{"key", "from", "until", "compromisedSince"}
	sourceKeys    = []string{"name", "url", "root", "target"}
)

// reader turns the YAML tree into a document.
type reader struct {
	strictyaml.Reader
	files ReadFile
	doc   *document
}

// readDocument reads a trust file and the files that it names; nothing is fetched.
// What it returns is to be used only if the reader has no problem.
func readDocument(src []byte, files ReadFile) (*document, *reader) {
	r := &reader{Reader: strictyaml.Reader{Code: attest.CodeTrustRoot}, files: files, doc: &document{}}
	root := r.Parse(src, maxFile)
	if root == nil {
		return r.doc, r
	}
	r.doc.pos = root
	f := r.Fields(root, "the trust file", trustKeys)
	r.Constant(root, f["apiVersion"], "apiVersion", apiVersion)
	r.Constant(root, f["kind"], "kind", kindTrust)
	if r.Need(root, f, "metadata") {
		r.metadata(f["metadata"])
	}
	for _, n := range r.Items(f["tuf"], "tuf", maxParts) {
		r.source(n)
	}
	for _, n := range r.Items(f["timestampAuthorities"], "timestampAuthorities", maxParts) {
		r.authority(n)
	}
	for _, n := range r.Items(f["sigstore"], "sigstore", maxParts) {
		r.instance(n)
	}
	r.shared(root, f["timestamps"])
	for _, n := range r.Items(f["spiffe"], "spiffe", maxParts) {
		r.domain(n)
	}
	for _, n := range r.Items(f["keys"], "keys", maxKeys) {
		r.key(n)
	}
	for _, s := range r.doc.sources {
		if !s.used {
			r.Wrong(s.pos, "no instance takes its trusted root from %s", s.Name)
		}
	}
	d := r.doc
	if len(d.instances)+len(d.authorities)+len(d.domains)+len(d.keys) == 0 && r.Err() == nil {
		r.Wrong(root, "nobody is trusted: the file lists no instance, no timestamp authority, no SPIFFE domain and no key")
	}
	return d, r
}

func (r *reader) metadata(n *yaml.Node) {
	f := r.Fields(n, "metadata", metadataKeys)
	if r.Need(n, f, "name") {
		r.doc.name = r.Name(f["name"], "metadata.name")
	}
	if r.Need(n, f, "version") {
		r.doc.version = int(r.Integer(f["version"], "metadata.version", 1, math.MaxInt32))
	}
	r.doc.description = r.Text(f["description"], "metadata.description")
	if f["expires"] == nil {
		r.Wrong(n, "metadata.expires is missing: who is trusted without an end is trusted whatever is learned later")
		return
	}
	r.doc.expires = r.Time(f["expires"], "metadata.expires")
}

func (r *reader) instance(n *yaml.Node) {
	f := r.Fields(n, "an instance", instanceKeys)
	in := &instanceEntry{pos: n}
	r.doc.instances = append(r.doc.instances, in)
	if r.Need(n, f, "name") {
		in.name = r.Name(f["name"], "name")
	}
	if slices.ContainsFunc(r.doc.instances, func(o *instanceEntry) bool { return o != in && o.name == in.name && in.name != "" }) {
		r.Wrong(f["name"], "there is an instance %s already", in.name)
	}
	switch {
	case f["trustedRoot"] != nil && f["tuf"] != nil:
		r.Wrong(n, "trustedRoot and tuf: the trusted root comes from one of them")
	case f["trustedRoot"] != nil:
		in.file = r.Text(f["trustedRoot"], "trustedRoot")
		in.root = r.file(f["trustedRoot"], in.file)
	case f["tuf"] != nil:
		name := r.Text(f["tuf"], "tuf")
		i := slices.IndexFunc(r.doc.sources, func(s *sourceEntry) bool { return s.Name == name })
		if name != "" && i < 0 {
			r.Wrong(f["tuf"], "there is no TUF repository %q below tuf", name)
		} else if name != "" {
			in.source = r.doc.sources[i]
			in.source.used = true
		}
	default:
		r.Wrong(n, "trustedRoot is missing: a file, or tuf with the name of a repository")
	}
	if f["timestampAuthorities"] != nil {
		if in.need.shared = r.Text(f["timestampAuthorities"], "timestampAuthorities") == "shared"; !in.need.shared {
			r.Wrong(f["timestampAuthorities"], "timestampAuthorities of an instance: the only value is shared")
		} else if len(r.doc.authorities) == 0 {
			r.Wrong(f["timestampAuthorities"], "the file lists no timestampAuthorities that could be shared")
		}
	}
	r.needs(in, f)
}

// needs reads an instance's thresholds; what is not said stays 0 until it is known
// what the trusted root lists.
func (r *reader) needs(in *instanceEntry, f map[string]*yaml.Node) {
	if n := f["timestamps"]; n != nil {
		in.need.timestamps = int(r.Integer(n, "timestamps", 1, maxParts))
	}
	for _, x := range []struct {
		key, why string
		n        *int
		reason   *string
	}{{"logs", "noLogs", &in.need.logs, &in.noLogs}, {"certificateLogs", "noCertificateLogs", &in.need.certificateLogs, &in.noCertificateLogs}} {
		*x.reason = r.Text(f[x.why], x.why)
		if f[x.key] != nil {
			*x.n = int(r.Integer(f[x.key], x.key, 0, maxParts))
		}
		zero := f[x.key] != nil && *x.n == 0
		switch {
		case zero && f[x.why] == nil:
			r.Wrong(f[x.key], "%s: 0 needs a reason, which is shown wherever the trust is: %s: \"…\"", x.key, x.why)
		case zero:
			*x.n = none
		case f[x.why] != nil:
			r.Wrong(f[x.why], "%s is for %s: 0", x.why, x.key)
		}
	}
}

func (r *reader) authority(n *yaml.Node) {
	f := r.Fields(n, "a timestamp authority", authorityKeys)
	a := &authorityEntry{pos: n}
	r.doc.authorities = append(r.doc.authorities, a)
	if r.Need(n, f, "name") {
		a.name = r.Name(f["name"], "name")
	}
	for _, o := range r.doc.authorities {
		if o != a && o.name == a.name && a.name != "" {
			r.Wrong(f["name"], "there is a timestamp authority %s already", a.name)
		}
	}
	a.window = r.window(n, f, true)
	if !r.Need(n, f, "chain") {
		return
	}
	a.file = r.Text(f["chain"], "chain")
	a.chain = r.certificates(f["chain"], a.file)
	if a.chain == nil {
		return
	}
	if err := soundAuthority(a.chain, a.window); err != nil {
		r.Wrong(f["chain"], "%s: %v", a.file, err)
	}
}

// soundAuthority refuses a chain that no timestamp could be verified with.
func soundAuthority(chain []*x509.Certificate, w window) error {
	if err := soundChain(chain, w); err != nil {
		return err
	}
	leaf := chain[0]
	switch {
	case len(chain) < 2 || leaf.IsCA:
		return errors.New("a chain begins with the certificate that signs timestamps and ends with a root")
	case !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}) || len(leaf.UnknownExtKeyUsage) > 0:
		// RFC 3161 section 2.3: timeStamping alone, so that no other service's key dates anything.
		return errors.New("its first certificate is not for timestamps alone (extended key usage)")
	}
	return nil
}

// shared reads how many of the file's authorities must agree on a time.
func (r *reader) shared(root, n *yaml.Node) {
	d := r.doc
	if n == nil {
		d.timestamps = min(1, len(d.authorities))
		return
	}
	d.timestamps = int(r.Integer(n, "timestamps", 1, maxParts))
	if d.timestamps > len(d.authorities) {
		r.Wrong(n, "timestamps: %d, and the file lists %d authorities: no time would ever count", d.timestamps, len(d.authorities))
	}
	d.timestampsPos = n
}

func (r *reader) domain(n *yaml.Node) {
	f := r.Fields(n, "a SPIFFE domain", domainKeys)
	d := &domainEntry{pos: n}
	r.doc.domains = append(r.doc.domains, d)
	if r.Need(n, f, "domain") {
		if d.domain = r.Text(f["domain"], "domain"); d.domain != "" && !validDomain(d.domain) {
			r.Wrong(f["domain"], "%q is no trust domain: lower-case letters, digits, dots, - and _, at most 255, without spiffe://", d.domain)
		}
	}
	if slices.ContainsFunc(r.doc.domains, func(o *domainEntry) bool { return o != d && o.domain == d.domain && d.domain != "" }) {
		r.Wrong(f["domain"], "the domain %s is listed already", d.domain)
	}
	d.window = r.window(n, f, true)
	if !r.Need(n, f, "bundle") {
		return
	}
	d.file = r.Text(f["bundle"], "bundle")
	if b := r.file(f["bundle"], d.file); b != nil {
		var err error
		if d.certificates, err = domainBundle(d.domain, b); err != nil {
			r.Wrong(f["bundle"], "%s: %v", d.file, err)
			return
		}
		for _, c := range d.certificates {
			if err := soundChain([]*x509.Certificate{c}, d.window); err != nil {
				r.Wrong(f["bundle"], "%s: %v", d.file, err)
			}
		}
	}
}

func (r *reader) key(n *yaml.Node) {
	f := r.Fields(n, "a key", windowKeys)
	k := &keyEntry{pos: n, window: r.window(n, f, false)}
	k.compromised = r.Time(f["compromisedSince"], "compromisedSince")
	if !r.Need(n, f, "key") {
		return
	}
	if f["from"] == nil && f["until"] == nil && f["compromisedSince"] == nil {
		r.Wrong(n, "a key here needs from, until or compromisedSince; who may sign what is in the policy")
	}
	k.file = r.Text(f["key"], "key")
	pem := []byte(k.file)
	if !strings.HasPrefix(k.file, "-----BEGIN ") {
		pem = r.file(f["key"], k.file)
	} else {
		k.file = ""
	}
	if len(pem) == 0 {
		return
	}
	var err error
	if k.key, err = attest.ParsePublicKey(pem); err != nil {
		r.Wrong(f["key"], "key %.60q: %v", f["key"].Value, err)
		return
	}
	for _, o := range r.doc.keys {
		if o.key.Fingerprint() == k.key.Fingerprint() {
			r.Wrong(f["key"], "the key %s is listed already, on line %d", k.key.Fingerprint(), o.pos.Line)
		}
	}
	r.doc.keys = append(r.doc.keys, k)
}

func (r *reader) source(n *yaml.Node) {
	f := r.Fields(n, "a TUF repository", sourceKeys)
	s := &sourceEntry{pos: n}
	if r.Need(n, f, "name") {
		s.Name = r.Name(f["name"], "name")
	}
	for _, o := range r.doc.sources {
		if o.Name == s.Name && s.Name != "" {
			r.Wrong(f["name"], "there is a TUF repository %s already", s.Name)
		}
	}
	r.doc.sources = append(r.doc.sources, s)
	if r.Need(n, f, "url") {
		if s.URL = r.Text(f["url"], "url"); s.URL != "" {
			if why := fetchable(s.URL); why != "" {
				r.Wrong(f["url"], "url %q: %s", s.URL, why)
			}
		}
	}
	if r.Need(n, f, "root") {
		s.file = r.Text(f["root"], "root")
		s.Root = r.file(f["root"], s.file)
	}
	if r.Need(n, f, "target") {
		if s.Target = r.Text(f["target"], "target"); s.Target != "" && !targetName(s.Target) {
			r.Report(f["target"], attest.CodePath, "target %q is not a plain path with slashes: no empty part, no . or .., nothing but letters, digits and ._-", s.Target)
		}
	}
}

// fetchable says why a repository's URL is not one to fetch from; "" if it is.
func fetchable(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "not a URL"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "no user, no query and no fragment"
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback(u.Hostname()):
	default:
		return "https, or http on this machine"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// targetName reports whether a TUF target's name stays what it is in a URL, in a path
// and on a terminal.
func targetName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." || part == ".." || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			return false
		}
	}
	return len(s) <= 255
}

// window reads from and until. Where a start is required, it must be said.
func (r *reader) window(n *yaml.Node, f map[string]*yaml.Node, start bool) window {
	if start && f["from"] == nil {
		r.Wrong(n, "from is missing: without a start it would count for signatures of any age")
	}
	w := window{r.Time(f["from"], "from"), r.Time(f["until"], "until")}
	if err := holds(w); err != nil {
		r.Wrong(n, "%v", err)
	}
	return w
}

// file reads a file that the trust file names; nil if there is a problem.
func (r *reader) file(n *yaml.Node, name string) []byte {
	if name == "" {
		return nil // said already
	}
	b, err := r.files(name)
	switch {
	case err != nil:
		r.Wrong(n, "%s: %v", name, err)
	case len(b) == 0:
		r.Wrong(n, "%s is empty", name)
	case len(b) > maxFile:
		r.Report(n, attest.CodeLimit, "%s has %d bytes, at most %d are read", name, len(b), maxFile)
	default:
		return b
	}
	return nil
}

// certificates reads a file of PEM certificates; nil if there is a problem.
func (r *reader) certificates(n *yaml.Node, name string) []*x509.Certificate {
	b := r.file(n, name)
	if b == nil {
		return nil
	}
	list, err := pemCertificates(b)
	if err != nil {
		r.Wrong(n, "%s: %v", name, err)
		return nil
	}
	return list
}
