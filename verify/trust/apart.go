package trust

import (
	"slices"

	"github.com/pedigree-ml/pedigree/attest"
)

// tellApart gives authorities that could be one and the same the same name to be
// counted by. An authority whose own certificate is listed is its key. One of which
// only the issuers are listed may be anybody whom they certified: so all of these are
// one, whoever else is listed with a key that they certified among them. Otherwise one
// key, listed once with its certificate and once without, would make two.
func tellApart(list []*authority) {
	issuers := make([][]string, len(list))
	for i, a := range list {
		issuers[i] = a.issuers()
	}
	for i, a := range list {
		for j, b := range list[:i] {
			if a.leaf != nil && b.leaf != nil || !slices.ContainsFunc(issuers[i], func(k string) bool { return slices.Contains(issuers[j], k) }) {
				continue
			}
			one, other := a.who, b.who
			for _, x := range list {
				if x.who == other {
					x.who = one
				}
			}
		}
	}
}

// issuers returns the keys that certify, or certified, who signs for the authority.
func (a *authority) issuers() []string {
	var out []string
	for _, p := range a.paths {
		if a.leaf == nil || p.named(a.leaf) && a.leaf.CheckSignatureFrom(p.above[0]) == nil {
			out = append(out, attest.SHA256(p.above[0].RawSubjectPublicKeyInfo).String())
		}
	}
	return out
}
