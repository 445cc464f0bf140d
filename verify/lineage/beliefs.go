package lineage

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pedigree-ml/pedigree/verify"
	"github.com/pedigree-ml/pedigree/verify/trust"
)

// How beliefs begin that are no keys.
const (
	beliefIdentity = "identity "
	beliefPattern  = "pattern "
	beliefTrust    = "trust "
	beliefAnyone   = "anyone"
)

// Beliefs spells whose signatures count, sorted, each once: what a [Store] was filled
// under. A line is the credential of a key; "identity ISSUER SUBJECT" or "pattern
// ISSUER PATTERN", with the claims that are asked for behind it as JSON; "anyone" for
// everybody whom the trust vouches for; and "trust sha256:…" with the digest of
// everything that the trust leads to ([trust.Trust.Material]). No line is in another
// form, so two sets with the same lines believe the same.
func Beliefs(s verify.Signers) []string {
	var out []string
	for _, k := range s.Keys {
		out = append(out, verify.KeyCredential(k).String())
	}
	for _, r := range s.Identities {
		out = append(out, spelledRule(r))
	}
	if s.Anyone {
		out = append(out, beliefAnyone)
	}
	// What nobody vouches for needs no trust; but it says when plain keys signed, too.
	if m := s.Trust.Material(); !m.IsZero() {
		out = append(out, beliefTrust+m.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// spelledRule writes a rule. Issuers and subjects that are believed have no line feed;
// one that has is no rule that anybody could meet, and is kept from looking like two.
func spelledRule(r trust.Rule) string {
	s := beliefIdentity
	if r.Pattern {
		s = beliefPattern
	}
	s += r.Issuer + " " + r.Subject
	if r.Claims != (trust.Claims{}) {
		b, err := json.Marshal(r.Claims)
		if err != nil {
			return "" // unreachable: only strings
		}
		s += " " + string(b)
	}
	return strings.ReplaceAll(s, "\n", "\\n")
}

// NotBelieved returns the first of some beliefs that is not among others, and "" if
// what was kept under the others is all that counts under these. Both lists are as
// [Beliefs] makes them.
//
// Whoever believed anyone whom a trust vouches for believed each of them. The trust has
// to be the same one: another may vouch for fewer, but also for other times, and may say
// of a key that it did not count any more.
func NotBelieved(beliefs, among []string) string {
	_, anyone := slices.BinarySearch(among, beliefAnyone)
	isTrust := func(b string) bool { return strings.HasPrefix(b, beliefTrust) }
	if slices.ContainsFunc(among, isTrust) && !slices.ContainsFunc(beliefs, isTrust) {
		return beliefTrust + "nobody"
	}
	for _, b := range beliefs {
		if anyone && (strings.HasPrefix(b, beliefIdentity) || strings.HasPrefix(b, beliefPattern)) {
			continue
		}
		if _, ok := slices.BinarySearch(among, b); !ok {
			return b
		}
	}
	return ""
}

// namesOf returns what those are called who may do something, sorted.
func namesOf(f verify.Follow, by Reading) []string {
	var out []string
	for _, c := range f.By {
		out = append(out, by.name(c))
	}
	for _, r := range f.ByIdentity {
		out = append(out, by.rule(r))
	}
	if f.ByAll {
		out = append(out, "whoever the trust vouches for")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
