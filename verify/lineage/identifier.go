package lineage

import (
	"net/url"
	"slices"
	"strings"
)

// A hub's model or data set is called org/name. People write it in many ways: as that,
// as an address on the hub, as a package URL, with a revision. These functions take
// names apart to compare them, and make nothing of them: two things of one name need
// not be the same, and only a digest says what they are.

// hubs are hosts on which org/name is followed by what leads into it.
var hubs = [...]string{"huggingface.co", "hf.co", "www.huggingface.co"}

// identifier returns the parts of what a card calls a model or a data set, in lower
// case: org and name, or the name alone. It is nil for what names nothing to others: a
// path on somebody's machine, or nothing at all.
func identifier(s string) []string {
	s = strings.TrimSpace(s)
	switch {
	case s == "", strings.HasPrefix(s, "/"), strings.HasPrefix(s, "."), strings.HasPrefix(s, "~"), strings.Contains(s, `\`), strings.HasPrefix(s, "file:"), len(s) > 1 && s[1] == ':':
		return nil
	}
	parts := segments(s)
	if len(parts) > 2 && !strings.Contains(s, ":") {
		return nil // a/b/c/checkpoint-500 is a folder: ids have two parts
	}
	return parts[max(0, len(parts)-2):]
}

// segments takes a name or an address apart: its path, without revision and tag, in
// lower case; of an address that is no more than that, the host too.
func segments(s string) []string {
	s = strings.ToLower(strings.TrimSpace(s))
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	onHub := false
	for _, prefix := range [...]string{"pkg:huggingface/", "hf://", "hf:", "git+"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			s, onHub = rest, prefix != "git+"
			break
		}
	}
	if _, rest, ok := strings.Cut(s, "://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		onHub = onHub || slices.Contains(hubs[:], host)
		s = path
	}
	var out []string
	for part := range strings.SplitSeq(s, "/") {
		if p, err := url.PathUnescape(part); err == nil {
			part = p
		}
		// Spaces are written in three ways, and hubs make hyphens of underscores.
		part = strings.NewReplacer("+", "-", " ", "-", "_", "-").Replace(strings.TrimSpace(part))
		if part != "" {
			out = append(out, part)
		}
	}
	if onHub {
		out = onlyID(out)
	}
	if n := len(out); n > 0 {
		name, _, _ := strings.Cut(out[n-1], "@")
		name, _, _ = strings.Cut(name, ":")
		if out[n-1] = strings.TrimSuffix(name, ".git"); out[n-1] == "" {
			out = out[:n-1]
		}
	}
	return out
}

// onlyID cuts an address on a hub down to org and name: what goes before says that it
// is a model or a data set, what comes after leads into it.
func onlyID(parts []string) []string {
	if len(parts) > 1 && (parts[0] == "datasets" || parts[0] == "models" || parts[0] == "spaces") {
		parts = parts[1:]
	}
	for i, p := range parts {
		if i > 0 && (p == "tree" || p == "blob" || p == "resolve" || p == "commit" || p == "raw") {
			return parts[:i]
		}
	}
	return parts[:min(2, len(parts))]
}

// like reports whether a thing with these labels may be what is claimed.
//
// A label that ends with the parts of the claim, part by part, says so: on a mirror
// org/name has something before it. So does one that is the name alone, unless
// another label gives that name to somebody else: "tern" may be anybody's tern, but
// with "https://huggingface.co/mallory/tern" beside it, it is mallory's.
func like(claim []string, labels [][]string) bool {
	name := claim[len(claim)-1]
	bare, others := false, false
	for _, label := range labels {
		switch {
		case endsWith(label, claim):
			return true
		case len(label) == 1 && label[0] == name:
			bare = true
		case len(label) > 1 && label[len(label)-1] == name:
			others = true
		}
	}
	return bare && !others
}

func endsWith(label, claim []string) bool {
	return len(label) >= len(claim) && slices.Equal(label[len(label)-len(claim):], claim)
}
