package attest

import "github.com/pedigree-ml/pedigree/internal/strictjson"

// MaxChildren is how many artifacts one index may list. Each of them is judged by
// itself; the largest honest index seen has about 30 platforms and variants.
const MaxChildren = 256

// IsIndex reports whether b looks like an OCI index rather than a manifest; the
// document decides, never the media type somebody sent along.
func IsIndex(b []byte) bool {
	v, err := strictjson.Parse(b, MaxManifest)
	if err != nil {
		return false
	}
	_, ok := v.Get("manifests")
	return ok
}

// ParseIndex reads an OCI image index of at most MaxManifest bytes and returns
// what it lists, each digest once, in the document's order.
//
// A document with both manifests and layers is refused, as by ParseManifest; so
// are an empty index, which would be many artifacts of which none is judged, and
// one that lists more than MaxChildren.
func ParseIndex(b []byte) ([]Descriptor, error) {
	v, err := strictjson.Parse(b, MaxManifest)
	if err != nil {
		return nil, jsonRefusal("index", err)
	}
	for _, key := range []string{"layers", "config"} {
		if _, both := v.Get(key); both {
			return nil, Refuse(CodeRegManifest, "a manifest, or an index that could be read as one")
		}
	}
	list, ok := v.Get("manifests")
	if !ok || list.Kind() != strictjson.Array || len(list.Items()) == 0 {
		return nil, Refuse(CodeRegManifest, "an index that lists nothing")
	}
	if len(list.Items()) > MaxChildren {
		return nil, Refuse(CodeLimit, "an index of %d artifacts, at most %d are read", len(list.Items()), MaxChildren)
	}
	var out []Descriptor
	seen := map[Digest]bool{}
	for _, item := range list.Items() {
		d, err := descriptor(item)
		if err != nil {
			return nil, err
		}
		if !seen[d.Digest] {
			seen[d.Digest] = true
			out = append(out, d)
		}
	}
	return out, nil
}
