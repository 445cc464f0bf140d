package predicate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pedigree-ml/pedigree/attest"
)

// A Reach is what somebody can get at: what a grant gives, and the most that a
// policy allows one to give. The zero Reach is nothing at all.
type Reach struct {
	Tools          []Tool   `json:"tools,omitempty"`
	Secrets        []Secret `json:"secrets,omitempty"`
	ExecutionPaths []string `json:"executionPaths,omitempty"`
	DataScopes     []string `json:"dataScopes,omitempty"`
}

// A Tool is something that can be called.
type Tool struct {
	Name       string    `json:"name"`
	Digest     DigestSet `json:"digest,omitzero"`      // of its schema; zero: whatever its schema
	Operations []string  `json:"operations,omitempty"` // what it may be had to do; none: everything
}

// A Secret is the name of one, and never its value.
type Secret struct {
	Name    string `json:"name"`
	Store   string `json:"store,omitempty"`   // "": wherever it is kept
	Version string `json:"version,omitempty"` // "": each
}

// String writes a secret as NAME[@STORE][ version VERSION].
func (s Secret) String() string {
	out := s.Name
	if s.Store != "" {
		out += "@" + s.Store
	}
	if s.Version != "" {
		out += " version " + s.Version
	}
	return out
}

// read takes what a grant gives from a tree that the table checked.
func (r *Reach) read(tree map[string]any) error {
	p := (*path)(nil).field("tools")
	seen := map[string]bool{}
	for i, item := range at[[]any](tree, "tools") {
		entry, _ := item.(map[string]any)
		t := Tool{Name: at[string](entry, "name"), Digest: DigestSet{digestAt(entry, "digest")}}
		if err := bytesOnly(p.index(i).field("digest"), t.Digest.Digest); err != nil {
			return err
		}
		if seen[t.Name] {
			return schema(p.index(i).field("name"), "is a second tool of that name")
		}
		seen[t.Name] = true
		operations, stated := entry["operations"].([]any)
		if stated && len(operations) == 0 {
			// "No operations" to one reader and "no restriction" to the next.
			return schema(p.index(i).field("operations"), "is empty: leave it out for everything, or the tool for nothing")
		}
		once := map[string]bool{}
		for j, o := range operations {
			name, _ := o.(string)
			if once[name] {
				return schema(p.index(i).field("operations").index(j), "is there a second time")
			}
			once[name] = true
			t.Operations = append(t.Operations, name)
		}
		r.Tools = append(r.Tools, t)
	}
	p = (*path)(nil).field("secrets")
	secrets := map[Secret]bool{}
	for i, item := range at[[]any](tree, "secrets") {
		entry, _ := item.(map[string]any)
		s := Secret{at[string](entry, "name"), at[string](entry, "store"), at[string](entry, "version")}
		if secrets[s] {
			return schema(p.index(i), "names one secret a second time")
		}
		secrets[s] = true
		r.Secrets = append(r.Secrets, s)
	}
	for _, list := range []struct {
		name string
		to   *[]string
	}{{"executionPaths", &r.ExecutionPaths}, {"dataScopes", &r.DataScopes}} {
		for _, item := range at[[]any](tree, list.name) {
			s, _ := item.(string)
			*list.to = append(*list.to, s)
		}
	}
	return r.check()
}

// check refuses names that are too long, and places that are not clean.
func (r *Reach) check() error {
	root := (*path)(nil)
	for i, t := range r.Tools {
		for _, s := range append([]string{t.Name}, t.Operations...) {
			if len(s) > maxAccessName {
				return tooLong(root.field("tools").index(i))
			}
		}
	}
	for i, s := range r.Secrets {
		if max(len(s.Name), len(s.Store), len(s.Version)) > maxAccessName {
			return tooLong(root.field("secrets").index(i))
		}
	}
	for _, list := range []struct {
		name string
		all  []string
	}{{"executionPaths", r.ExecutionPaths}, {"dataScopes", r.DataScopes}} {
		seen := map[string]bool{}
		for i, s := range list.all {
			p := root.field(list.name).index(i)
			if len(s) > maxAccessName {
				return tooLong(p)
			}
			place, why := cleanPlace(s)
			if why != "" {
				return schema(p, "%.80q %s", s, why)
			}
			if seen[place] {
				return schema(p, "is there a second time")
			}
			seen[place] = true
		}
	}
	return nil
}

func tooLong(p *path) error {
	return &attest.Refusal{Code: attest.CodeLimit, About: p.String(), Why: fmt.Sprintf("a name of more than %d bytes", maxAccessName)}
}

// CheckPlace refuses an execution path or data scope that is not in its clean form
// (docs/format/access.md), with E_PREDICATE_SCHEMA.
func CheckPlace(s string) error {
	if len(s) > maxAccessName {
		return tooLong(nil)
	}
	if _, why := cleanPlace(s); why != "" {
		return schema(nil, "%.80q %s", s, why)
	}
	return nil
}

var (
	// scheme is what may stand before "://", in the one spelling that RFC 3986 calls
	// normal.
	scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://`)
	// encodedPart are the percent-encodings of what divides and climbs: whoever decodes
	// them sees another path than whoever compares.
	encodedPart = regexp.MustCompile(`(?i)%(2e|2f|5c|25)`)
)

// cleanPlace returns a place as it is compared, without a slash at its end, or why
// it has more than one reading. There are no patterns: a place is itself and all
// below.
func cleanPlace(s string) (place, why string) {
	head := scheme.FindString(s)
	rest := s[len(head):]
	absolute := strings.HasPrefix(rest, "/")
	switch {
	case s == "":
		return "", "is empty"
	case strings.ContainsAny(rest, "*?"):
		return "", "has a pattern in it: a place is itself and all below, and nothing else"
	case strings.Contains(s, `\`) || encodedPart.MatchString(s):
		return "", "has a backslash or an encoded separator in it"
	case rest == "/" && head == "":
		return "/", "" // everything
	}
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), "/")
	for _, segment := range strings.Split(rest, "/") {
		switch segment {
		case "":
			return "", "has an empty part between two slashes"
		case ".", "..":
			return "", "has a part that is " + segment
		}
	}
	if absolute {
		head += "/"
	}
	return head + rest, ""
}

// places are those that a reach names, as they are compared.
func places(all []string) map[string]bool {
	out := make(map[string]bool, len(all))
	for _, s := range all {
		if place, why := cleanPlace(s); why == "" {
			out[place] = true
		}
	}
	return out
}

// covered reports whether a place is one of those, or lies below one.
func covered(bounds map[string]bool, s string) bool {
	place, why := cleanPlace(s)
	if why != "" {
		return false
	}
	if bounds[place] || bounds["/"] && strings.HasPrefix(place, "/") {
		return true
	}
	start := len(scheme.FindString(place))
	for i := start + 1; i < len(place); i++ {
		if place[i] == '/' && bounds[place[:i]] {
			return true
		}
	}
	return false
}

// Beyond returns what of r is not within bound, one clause each, in r's order; none
// if r is within it. docs/format/access.md has the rules.
func (r Reach) Beyond(bound Reach) []string {
	var out []string
	tools := make(map[string]Tool, len(bound.Tools))
	for _, t := range bound.Tools {
		tools[t.Name] = t
	}
	for _, t := range r.Tools {
		b, ok := tools[t.Name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("the tool %s", named(t.Name)))
			continue
		case !b.Digest.IsZero() && t.Digest != b.Digest:
			out = append(out, fmt.Sprintf("the tool %s with another schema than %s", named(t.Name), b.Digest.Short()))
		}
		out = append(out, t.operationsBeyond(b)...)
	}
	secrets := make(map[Secret]bool, len(bound.Secrets))
	for _, s := range bound.Secrets {
		secrets[s] = true
	}
	for _, s := range r.Secrets {
		// What the bound leaves open, it leaves open to all.
		if !secrets[s] && !secrets[Secret{s.Name, s.Store, ""}] && !secrets[Secret{s.Name, "", s.Version}] && !secrets[Secret{s.Name, "", ""}] {
			out = append(out, fmt.Sprintf("the secret %s", named(s.String())))
		}
	}
	for _, list := range []struct {
		what      string
		all, most []string
	}{{"the execution path", r.ExecutionPaths, bound.ExecutionPaths}, {"the data scope", r.DataScopes, bound.DataScopes}} {
		bounds := places(list.most)
		for _, s := range list.all {
			if !covered(bounds, s) {
				out = append(out, fmt.Sprintf("%s %s", list.what, named(s)))
			}
		}
	}
	return out
}

// operationsBeyond returns what a tool may be had to do beyond a bound of that name.
func (t Tool) operationsBeyond(b Tool) []string {
	if len(b.Operations) == 0 {
		return nil // everything
	}
	if len(t.Operations) == 0 {
		return []string{fmt.Sprintf("every operation of the tool %s", named(t.Name))}
	}
	may := make(map[string]bool, len(b.Operations))
	for _, o := range b.Operations {
		may[o] = true
	}
	var out []string
	for _, o := range t.Operations {
		if !may[o] {
			out = append(out, fmt.Sprintf("the operation %s of the tool %s", named(o), named(t.Name)))
		}
	}
	return out
}

// named writes a signer's name for a message.
func named(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return attest.Printable(s)
}
