package trust

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pedigree-ml/pedigree/attest"
	"github.com/pedigree-ml/pedigree/internal/strictjson"
)

// fetch gets what a TUF repository says. That it cannot be had is not that it is
// wrong, and has a code of its own.
func (r *reader) fetch(s *sourceEntry, fetched Fetch) {
	if fetched == nil {
		r.Report(s.pos, attest.CodeTrustRootStale, "the TUF repository %s is not asked here", s.Name)
		return
	}
	var err error
	switch s.got, err = fetched(s.TUFSource); {
	case err != nil:
		code := attest.RefusalCode(err)
		if code == "" {
			code = attest.CodeTrustRootStale
		}
		r.Report(s.pos, code, "%s: %s", s.Name, reason(err))
	case len(s.got.Content) > maxFile:
		r.Report(s.pos, attest.CodeLimit, "%s: the target has %d bytes, at most %d are read", s.Name, len(s.got.Content), maxFile)
	case s.got.Expires.IsZero():
		r.Wrong(s.pos, "%s: it is not known when what it says is over", s.Name)
	}
}

// reason is what an error says without the code and the object that a message names.
func reason(err error) string {
	var f *attest.Refusal
	if !errors.As(err, &f) {
		return err.Error()
	}
	switch {
	case f.Err == nil:
		return f.Why
	case f.Why == "":
		return f.Err.Error()
	}
	return f.Why + ": " + f.Err.Error()
}

// settle reads the trusted roots, and checks what can be checked only with all of
// them at hand: thresholds, and that every key is in one place.
func (r *reader) settle(d *document) {
	for _, in := range d.instances {
		if in.source != nil {
			in.root = in.source.got.Content
		}
		r.settleInstance(in)
	}
	for _, a := range d.authorities {
		made, err := newAuthority(a.name, a.chain, a.window)
		if err != nil {
			r.Wrong(a.pos, "%s: %s", a.name, reason(err))
			return
		}
		d.made = append(d.made, made)
	}
	if r.Err() == nil { // an instance that is none has nobody to tell apart
		r.agreement(d)
	}
	r.places(d)
}

// agreement refuses thresholds of times that nobody can reach, because there are too
// few authorities that surely are not the same one.
func (r *reader) agreement(d *document) {
	tellApart(d.made)
	for _, in := range d.instances {
		if in.need.shared {
			tellApart(slices.Concat(in.made.stamps, d.made))
		}
	}
	for _, in := range d.instances {
		list := in.made.stamps
		if in.need.shared {
			list = slices.Concat(list, d.made)
		}
		who := whose(list)
		for _, l := range in.made.logs {
			who[l.who] = true // one of Rekor v1 says when
		}
		if n := in.made.need.timestamps; n > len(who) {
			r.Wrong(in.pos, "instance %s: %d must say when, and %d could, counting those as one that may be the same: nothing would ever verify", in.name, n, len(who))
		}
	}
	if n := len(whose(d.made)); d.timestampsPos != nil && d.timestamps > n {
		r.Wrong(d.timestampsPos, "timestamps: %d, and the file lists %d authorities that surely are different ones: no time would ever count", d.timestamps, n)
	}
}

// whose returns by what authorities are counted.
func whose(list []*authority) map[string]bool {
	out := map[string]bool{}
	for _, a := range list {
		out[a.who] = true
	}
	return out
}

func (r *reader) settleInstance(in *instanceEntry) {
	var err error
	if in.made, err = newInstance(in.name, in.root, in.need); err != nil {
		r.Wrong(in.pos, "instance %s: %s", in.name, reason(err))
		return
	}
	if in.parts, err = rootParts(in.name, in.root); err != nil {
		r.Wrong(in.pos, "instance %s: not a usable trusted root: %v", in.name, err)
		return
	}
	lists := func(kind string) bool {
		return slices.ContainsFunc(in.parts, func(p Part) bool { return p.Kind == kind })
	}
	// What a root does not list is nothing that anybody decided: a root that is fetched
	// and loses its logs must not quietly stop asking for them.
	if in.need.logs == 0 && !lists(KindLog) {
		r.Wrong(in.pos, "instance %s: its trusted root lists no log; say that none is asked for: logs: 0, noLogs: \"…\"", in.name)
	}
	if in.need.certificateLogs == 0 && !lists(KindCertificateLog) {
		r.Wrong(in.pos, "instance %s: its trusted root lists no certificate log; say that none is asked for: certificateLogs: 0, noCertificateLogs: \"…\"", in.name)
	}
}

// places refuses a key in two places: two instances, two domains, or one of each. What
// each of them would not sign alone, one could sign for the other.
func (r *reader) places(d *document) {
	where := map[attest.Digest]string{}
	take := func(pos *yaml.Node, place string, keys []attest.Digest, advice string) {
		for _, k := range keys {
			if first := where[k]; first != "" && first != place {
				r.Wrong(pos, "%s has the key %s, which %s has already: one could sign for the other%s", place, k, first, advice)
			}
			where[k] = place
		}
	}
	for _, in := range d.instances {
		for _, p := range in.parts {
			keys, advice := p.keys(), ""
			if p.Kind == KindTimestamps {
				// Only its own key makes timestamps; those above are often a public authority's.
				keys, advice = keys[:1], "; list it below timestampAuthorities, and let both say timestampAuthorities: shared"
			}
			take(in.pos, "instance "+in.name, keys, advice)
		}
	}
	for _, x := range d.domains {
		var keys []attest.Digest
		for _, c := range x.certificates {
			keys = append(keys, attest.SHA256(c.RawSubjectPublicKeyInfo))
		}
		take(x.pos, "SPIFFE domain "+x.domain, keys, "")
	}
}

// build makes the Trust of a document without problems.
func (d *document) build() (*Trust, error) {
	t := &Trust{name: d.name, version: d.version, expires: d.expires, timestamps: d.timestamps}
	t.told = description{ends: endsFile, text: d.description, doc: d}
	for _, in := range d.instances {
		t.instances = append(t.instances, in.made)
		t.told.parts = append(t.told.parts, in.parts...)
	}
	t.authorities = d.made
	for _, a := range d.authorities {
		p, err := chainPart(KindTimestamps, a.name, "", a.chain, a.window)
		if err != nil {
			return nil, err
		}
		t.told.parts = append(t.told.parts, p)
	}
	for _, x := range d.domains {
		made, err := newDomain(x.domain, x.certificates, x.window)
		if err != nil {
			return nil, err
		}
		p, err := chainPart(KindDomain, x.domain, "", x.certificates, x.window)
		if err != nil {
			return nil, err
		}
		t.domains, t.told.parts = append(t.domains, made), append(t.told.parts, p)
	}
	for _, k := range d.keys {
		t.keys = append(t.keys, keyWindow{key: k.key, window: k.window, compromisedSince: k.compromised})
		algorithm, err := strong(k.key.Crypto())
		if err != nil {
			return nil, err
		}
		t.told.parts = append(t.told.parts, Part{Kind: KindKey, Name: k.file, Key: k.key.Fingerprint(), Algorithm: algorithm, From: k.from, Until: k.until, CompromisedSince: k.compromised})
	}
	for _, s := range d.sources {
		if s.got.Expires.Before(t.expires) {
			t.expires, t.told.ends = s.got.Expires, "what the TUF repository "+s.Name+" says"
		}
	}
	file, err := d.resolve(false)
	if err != nil {
		return nil, err
	}
	everything, err := d.resolve(true)
	if err != nil {
		return nil, err
	}
	t.digest, t.material = attest.SHA256(file), attest.SHA256(everything)
	return t, nil
}

// resolve writes the document as canonical JSON with nothing left to look up: files by
// their content, defaults spelled out. What a TUF repository says is in it only where
// everything is asked for; else the file names the repository, its initial root by
// digest and the target, so that the digest of the file stays while keys are changed
// over there.
func (d *document) resolve(everything bool) ([]byte, error) {
	var instances, authorities, domains, keys []any
	for _, in := range d.instances {
		m := map[string]any{"name": in.name, "logs": in.made.need.logs, "noLogs": in.noLogs, "timestamps": in.made.need.timestamps,
			"certificateLogs": in.made.need.certificateLogs, "noCertificateLogs": in.noCertificateLogs, "sharedTimestampAuthorities": in.need.shared}
		if s := in.source; s != nil {
			// The root decides the defaults, so of a fetched one only what is written counts.
			if !everything {
				m["logs"], m["timestamps"], m["certificateLogs"] = in.need.logs, in.need.timestamps, in.need.certificateLogs
			}
			m["tuf"] = map[string]any{"url": s.URL, "root": attest.SHA256(s.Root), "target": s.Target}
		}
		if in.source == nil || everything {
			v, err := strictjson.Parse(in.root, maxFile)
			if err != nil {
				return nil, err
			}
			m["trustedRoot"] = json.RawMessage(v.Canonical())
		}
		if in.source != nil && everything {
			m["expires"] = moment(in.source.got.Expires)
		}
		instances = append(instances, m)
	}
	for _, a := range d.authorities {
		var chain [][]byte
		for _, c := range a.chain {
			chain = append(chain, c.Raw)
		}
		authorities = append(authorities, map[string]any{"name": a.name, "chain": chain, "from": moment(a.from), "until": moment(a.until)})
	}
	for _, x := range d.domains {
		var bundle [][]byte
		for _, c := range x.certificates {
			bundle = append(bundle, c.Raw)
		}
		domains = append(domains, map[string]any{"domain": x.domain, "bundle": bundle, "from": moment(x.from), "until": moment(x.until)})
	}
	for _, k := range d.keys {
		keys = append(keys, map[string]any{"key": k.key.Fingerprint(), "from": moment(k.from), "until": moment(k.until), "compromisedSince": moment(k.compromised)})
	}
	b, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": kindTrust,
		"metadata": map[string]any{"name": d.name, "version": d.version, "description": d.description, "expires": moment(d.expires)},
		"sigstore": instances, "timestampAuthorities": authorities, "timestamps": d.timestamps, "spiffe": domains, "keys": keys,
	})
	if err != nil {
		return nil, err
	}
	v, err := strictjson.Parse(b, (maxParts+1)*2*maxFile)
	if err != nil {
		return nil, err
	}
	return v.Canonical(), nil
}

// moment writes a time that may not be stated.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
